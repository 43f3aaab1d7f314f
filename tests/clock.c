/* A wall clock that a test can set: gettimeofday, time and clock_gettime, moved by what a file says. Preloaded into trunkd and
 * Kamailio by src/clock.rs.
 *
 * TRUNKLINE_CLOCK names the file: nanoseconds ahead of the machine's clock, eight bytes, read at each call. The monotonic clock stays as it is, and
 * so do sleeps and waits, but for a wait until a time of the wall clock. (libfaketime moves those too: with it, sleeping until a monotonic time fails.)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static _Atomic int64_t none;
static _Atomic int64_t *ahead_ns = &none;
static int (*machine)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TRUNKLINE_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead_ns, PROT_READ, MAP_SHARED, file, 0);
    if (found == MAP_FAILED) {
        fprintf(stderr, "clock.c: TRUNKLINE_CLOCK names no clock\n");
        abort();
    }
    close(file);
    ahead_ns = found;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!machine)
        machine = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = machine(clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = time->tv_sec * SECOND + time->tv_nsec + atomic_load(ahead_ns);
        time->tv_sec = ns / SECOND;
        time->tv_nsec = ns % SECOND;
    }
    return failed;
}

int gettimeofday(struct timeval *time, void *zone)
{
    (void)zone;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
