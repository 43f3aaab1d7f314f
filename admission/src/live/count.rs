//! Calls at the same time, on one word: the count in the low half; above it how many were ever taken, and a mark.
//!
//! Nothing brings a word back to what it was: to the same count it comes only through a take, which moves the number taken.
//! So a count recomputed from the slots is stored only if nothing moved meanwhile. The count never goes above the limit that
//! its taker saw, and never below zero.

use crate::sync::{AtomicU64, Ordering, Site, at, swap};

/// One count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountWord<'a>(pub(crate) &'a AtomicU64);

/// Set and cleared by [`CountWord::give_noticeably`] alone.
const MARK: u64 = 1 << 63;
const ONE_TAKEN: u64 = 1 << 32;
/// How many were ever taken; starts again at zero after two thousand million.
const TAKEN: u64 = MARK - ONE_TAKEN;

impl CountWord<'_> {
    pub(crate) fn get(self) -> u32 {
        self.0.load(Ordering::Relaxed) as u32
    }

    /// How many were taken since the file was made, modulo 2^31.
    pub(crate) fn taken(self) -> u32 {
        ((self.0.load(Ordering::Relaxed) & TAKEN) >> 32) as u32
    }

    /// Whether fewer than `limit` are counted; else how many are.
    pub(crate) fn peek(self, limit: Option<u32>) -> Result<(), u32> {
        room(self.get(), limit)
    }

    /// What is counted and how many were taken ([`CountWord::taken`]), with whatever was done before it was counted so.
    pub(crate) fn read(self) -> (u32, u32) {
        let word = self.0.load(at(Site::CountLoad, Ordering::Acquire));
        (word as u32, ((word & TAKEN) >> 32) as u32)
    }

    /// How many takes lie between two readings.
    pub(crate) fn takes(earlier: u32, later: u32) -> u32 {
        later.wrapping_sub(earlier) & (u32::MAX >> 1)
    }

    /// Takes `drift` out of the count if `still` says so once the word was read, and nothing moved since. `false` when it
    /// would go below zero, or `still` says no.
    pub(crate) fn correct(self, drift: i64, still: impl Fn() -> bool) -> bool {
        loop {
            let word = self.0.load(Ordering::Acquire);
            let right = i64::from(word as u32).checked_sub(drift).and_then(|right| u32::try_from(right).ok());
            let Some(right) = right.filter(|_| still()) else { return false };
            let next = word & !u64::from(u32::MAX) | u64::from(right);
            if swap(Site::CountSwap, self.0, word, next, Ordering::AcqRel).is_ok() {
                return true;
            }
        }
    }

    /// Counts one more if fewer than `limit` are counted; else says how many are. Release: the slot that the call has
    /// claimed before is visible to whoever reads this count with acquire ordering (a rebuild).
    #[inline]
    pub(crate) fn take(self, limit: Option<u32>) -> Result<(), u32> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let count = word as u32;
            room(count, limit)?;
            let next = word & MARK | word.wrapping_add(ONE_TAKEN) & TAKEN | u64::from(count + 1);
            match swap(Site::CountSwap, self.0, word, next, Ordering::Release) {
                Ok(_) => return Ok(()),
                Err(current) => word = current,
            }
        }
    }

    /// Counts one less; `false`, and nothing changed, if none is counted.
    pub(crate) fn give(self) -> bool {
        self.give_as(0)
    }

    fn give_as(self, mark: u64) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word as u32 == 0 {
                return false;
            }
            match swap(Site::CountSwap, self.0, word, (word - 1) ^ mark, Ordering::Release) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
    }

    /// The mark, 0 or 1: no [`CountWord::take`] or [`CountWord::give`] changes it.
    pub(crate) fn mark(self) -> u64 {
        self.0.load(Ordering::Relaxed) >> 63
    }

    /// As [`CountWord::give`], and changes the mark, so that whoever noted it before knows after a death whether this was
    /// done. For one process at a time.
    pub(crate) fn give_noticeably(self) -> bool {
        self.give_as(MARK)
    }

    /// Counts nobody any more: only while no other process uses the file.
    pub(crate) fn reset(self) {
        self.0.store(self.0.load(Ordering::Relaxed) & !u64::from(u32::MAX), Ordering::Relaxed);
    }
}

#[inline]
fn room(count: u32, limit: Option<u32>) -> Result<(), u32> {
    if count >= limit.unwrap_or(u32::MAX) { Err(count) } else { Ok(()) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_count_stays_between_zero_and_its_limit() {
        let cell = AtomicU64::new(0);
        let word = CountWord(&cell);
        assert!(!word.give());
        assert_eq!(word.take(Some(0)), Err(0));
        assert_eq!(word.take(Some(2)), Ok(()));
        assert_eq!(word.take(Some(2)), Ok(()));
        assert_eq!(word.take(Some(2)), Err(2));
        assert_eq!(word.take(None), Ok(()));
        assert_eq!(word.take(Some(2)), Err(3));
        assert!(word.give() && word.give() && word.give() && !word.give());
        assert_eq!(word.get(), 0);
    }

    #[test]
    fn only_what_shall_be_noticed_changes_the_mark() {
        let cell = AtomicU64::new(TAKEN | 1);
        let word = CountWord(&cell);
        for _ in 0..5 {
            assert_eq!((word.take(None), word.mark()), (Ok(()), 0));
            assert_eq!((word.take(None), word.mark()), (Ok(()), 0));
            assert_eq!((word.give(), word.mark()), (true, 0));
        }
        assert_eq!((word.give_noticeably(), word.get(), word.mark()), (true, 5, 1));
        assert_eq!((word.give_noticeably(), word.get(), word.mark()), (true, 4, 0));
        assert_eq!(word.taken(), 9, "it went over its end and on");
        cell.store(7 << 32, Ordering::Relaxed);
        assert_eq!((word.give_noticeably(), cell.load(Ordering::Relaxed)), (false, 7 << 32));
    }

    #[test]
    fn a_correction_moves_the_count_alone_and_never_below_zero() {
        for above in [0, MARK, TAKEN, MARK | ONE_TAKEN] {
            for drift in [-3, -2, -1, 1, 2, 5] {
                let cell = AtomicU64::new(above | 5);
                let word = CountWord(&cell);
                assert!(!word.correct(drift, || false) && !word.correct(6, || true));
                assert_eq!(cell.load(Ordering::Relaxed), above | 5);
                assert!(word.correct(drift, || true));
                assert_eq!(cell.load(Ordering::Relaxed), above | (5 - drift) as u64);
            }
        }
    }

    #[test]
    fn a_word_never_comes_back_and_a_new_epoch_forgets_the_count_alone() {
        let cell = AtomicU64::new(MARK);
        let word = CountWord(&cell);
        let mut seen = std::collections::HashSet::from([MARK]);
        for round in 0..100 {
            assert_eq!(word.take(None), Ok(()));
            assert!(seen.insert(cell.load(Ordering::Relaxed)), "round {round}");
            assert!(word.give());
            assert!(seen.insert(cell.load(Ordering::Relaxed)), "round {round}");
        }
        assert_eq!(word.take(None), Ok(()));
        word.reset();
        assert_eq!((word.get(), word.taken(), word.mark()), (0, 101, 1));
    }
}
