//! What the processor is asked for by name: lines that will be needed, words compared four at a time, clocks.
//! Must never store to memory of anybody else's.

#[cfg(all(target_arch = "x86_64", not(loom)))]
use std::ptr;

use crate::sync::AtomicU64;

/// Asks the processor for the cache line of a word that will be read soon. A hint: it changes nothing and waits for nothing.
#[inline(always)]
pub(crate) fn prefetch(word: Option<&AtomicU64>) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    if let Some(word) = word {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction reads nothing that a program could see, and no address can fault it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(word).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = word;
}

/// As [`prefetch`], for a line that will be written soon.
#[inline(always)]
pub(crate) fn prefetch_to_write(word: Option<&AtomicU64>) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    if let Some(word) = word {
        use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: as in `prefetch`; a processor that does not know the instruction takes it for an empty one.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(ptr::from_ref(word).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = word;
}

/// Which of eight words have this upper half, and which a lowest byte of 0: one bit each, found without a branch.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[inline(always)]
pub(crate) fn marks(words: &[AtomicU64; 8], upper: u32) -> (u32, u32) {
    // SAFETY: every processor of this architecture has SSE2.
    unsafe { marks_of_four(words, upper) }
}

/// [`marks`], four words at a time.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[target_feature(enable = "sse2")]
#[inline]
fn marks_of_four(words: &[AtomicU64; 8], upper: u32) -> (u32, u32) {
    use core::arch::{asm, x86_64::*};
    // Each word is loaded in one piece, as an atomic load is on this architecture, and in order, as all its loads are; but the compiler
    // would load atomic words one by one into other registers first, which takes as long as all the rest. Unlike a compiler's load it is
    // never moved past another access.
    macro_rules! pair {
        ($first:literal) => {{
            let both: __m128;
            // SAFETY: loads two of the eight words, and nothing else, into a register.
            unsafe {
                asm!(
                    "movq {0}, [{1} + 8 * {2}]",
                    "movhps {0}, [{1} + 8 * {2} + 8]",
                    out(xmm_reg) both,
                    in(reg) words.as_ptr(),
                    const $first,
                    options(nostack, preserves_flags),
                );
            }
            both
        }};
    }
    let (wanted, byte) = (_mm_set1_epi32(upper.cast_signed()), _mm_set1_epi32(0xff));
    let four = |a: __m128, b: __m128| {
        let uppers = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(a, b));
        let lowers = _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(a, b));
        let empty = _mm_cmpeq_epi32(_mm_and_si128(lowers, byte), _mm_setzero_si128());
        (_mm_cmpeq_epi32(uppers, wanted), empty)
    };
    let ((alike, empty), (alike_too, empty_too)) = (four(pair!(0), pair!(2)), four(pair!(4), pair!(6)));
    let bytes = _mm_packs_epi16(_mm_packs_epi32(alike, alike_too), _mm_packs_epi32(empty, empty_too));
    let bits = _mm_movemask_epi8(bytes).cast_unsigned();
    (bits & 0xff, bits >> 8)
}

/// `CLOCK_MONOTONIC` in nanoseconds, the same for every process of the machine. Through the vDSO: no system call.
pub(crate) fn monotonic_ns() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC)
}

/// Wall clock in milliseconds since 1970, for people; never for limits.
pub(crate) fn wall_ms() -> u64 {
    read_clock(libc::CLOCK_REALTIME) / 1_000_000
}

/// Both clocks, as [`monotonic_ns`] and [`wall_ms`], mostly for the price of one: how far they are apart is looked up
/// again every 100 ms, so that a step of the wall clock is followed that soon.
#[cfg(not(loom))]
#[inline]
pub(crate) fn both_clocks() -> (u64, u64) {
    // This process's own memory, not shared: the only atomics that are no words of a file.
    static LOOKED_AT_NS: AtomicU64 = AtomicU64::new(0);
    static APART_NS: AtomicU64 = AtomicU64::new(0);
    use crate::sync::Ordering::Relaxed;
    let now = monotonic_ns();
    if now.wrapping_sub(LOOKED_AT_NS.load(Relaxed)) > 100_000_000 {
        APART_NS.store(read_clock(libc::CLOCK_REALTIME).wrapping_sub(now), Relaxed);
        LOOKED_AT_NS.store(now, Relaxed);
    }
    (now, now.wrapping_add(APART_NS.load(Relaxed)) / 1_000_000)
}

/// Loom's atomics cannot be static.
#[cfg(loom)]
pub(crate) fn both_clocks() -> (u64, u64) {
    (monotonic_ns(), wall_ms())
}

fn read_clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec that we own; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
