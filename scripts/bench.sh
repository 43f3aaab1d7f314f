#!/usr/bin/env bash
# Prints what things cost, or the named parts: core log calls. Medians and spreads, and the machine.
#
#   core   the decision, slots, digest, publishing, writes, beside what is wanted of each
#   log    the call log: events written down, the size of a call, pages among TRUNKLINE_BENCH_CALLS calls (1,000,000)
#   calls  whole calls through Trunkline, a bare relay and stock modules; starts, reloads and changes; how exact limits are
#
# BENCH_MODE=short|full  some minutes (default), or three quarters of an hour
# BENCH_PARTS=, BENCH_WORLDS=  less or other than the mode has: see tests/src/bin/bench.rs
# BENCH_OUT=DIR          where benchmarks.md, .svg and .json of the calls go (var/bench). With BENCH_OUT=docs on a quiet machine the
#                        page in docs/ is written.
set -euo pipefail
cd "$(dirname "$0")/.."
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(core log calls)

part_core() {
    local benches=(decision slots digest counted publish) bench model memory
    # Built first, so that nothing compiles while something is measured.
    cargo bench --quiet -p trunk-admission --no-run "${benches[@]/#/--bench=}"
    cargo bench --quiet -p trunkd --no-run --bench writes

    model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
    memory=$(awk '/^MemTotal:/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
    cat <<TEXT
Machine: $(nproc) processors, ${model:-of an unknown model}, $memory, kernel $(uname -r); load $(cut -d' ' -f1-3 /proc/loadavg)
Each figure is the median of five runs, unless it says "worst" or is counted.

| what | measured | wanted, at most |
|---|---:|---:|
TEXT
    for bench in "${benches[@]}"; do
        cargo bench --quiet -p trunk-admission --bench "$bench"
    done
    cargo bench --quiet -p trunkd --bench writes
}

part_log() { cargo bench --quiet -p trunkd --bench calls; }

part_calls() {
    scripts/build.sh --quiet
    cargo build --release --quiet -p e2e --bin bench
    cargo run --release --quiet -p e2e --bin bench
}

for part in "${parts[@]}"; do "part_$part"; done
