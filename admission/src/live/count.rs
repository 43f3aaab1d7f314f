//! Calls at the same time, on one word: the count in the low half, a version in the high half.
//!
//! Each change moves the version, so that a count recomputed from the slots is stored only if nothing moved meanwhile.
//! The count never goes above the limit that its taker saw, and never below zero.

use crate::sync::{AtomicU64, Ordering, Site, swap};

/// One count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountWord<'a>(pub(crate) &'a AtomicU64);

const ONE_VERSION: u64 = 1 << 32;

impl CountWord<'_> {
    pub(crate) fn get(self) -> u32 {
        self.0.load(Ordering::Relaxed) as u32
    }

    /// Counts one more if fewer than `limit` are counted; else says how many are. Release: the slot that the call has
    /// claimed before is visible to whoever reads this count with acquire ordering (a rebuild).
    pub(crate) fn take(self, limit: Option<u32>) -> Result<(), u32> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let count = word as u32;
            if count >= limit.unwrap_or(u32::MAX) {
                return Err(count);
            }
            let next = word.wrapping_add(ONE_VERSION + 1);
            match swap(Site::CountSwap, self.0, word, next, Ordering::Release) {
                Ok(_) => return Ok(()),
                Err(current) => word = current,
            }
        }
    }

    /// Counts one less; `false`, and nothing changed, if none is counted.
    pub(crate) fn give(self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word as u32 == 0 {
                return false;
            }
            let next = word.wrapping_add(ONE_VERSION) - 1;
            match swap(Site::CountSwap, self.0, word, next, Ordering::Release) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
    }

    /// Whether the version and the count are even together: no [`CountWord::take`] or [`CountWord::give`] changes that.
    pub(crate) fn parity(self) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        ((word >> 32) ^ word) & 1
    }

    /// As [`CountWord::give`], and changes the parity, so that whoever noted it before knows after a death whether this
    /// was done. For one process at a time.
    pub(crate) fn give_noticeably(self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word as u32 == 0 {
                return false;
            }
            let next = word.wrapping_add(2 * ONE_VERSION) - 1;
            match swap(Site::CountSwap, self.0, word, next, Ordering::Release) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
    }

    /// Forgets everything: only while no other process uses the file.
    pub(crate) fn reset(self) {
        self.0.store(0, Ordering::Relaxed);
    }
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
    fn only_what_shall_be_noticed_changes_the_parity() {
        let cell = AtomicU64::new(u64::from(u32::MAX - 1) << 32 | 1);
        let word = CountWord(&cell);
        let before = word.parity();
        for _ in 0..5 {
            assert_eq!((word.take(None), word.parity()), (Ok(()), before));
            assert_eq!((word.take(None), word.parity()), (Ok(()), before));
            assert_eq!((word.give(), word.parity()), (true, before));
        }
        assert_eq!((word.give_noticeably(), word.get(), word.parity()), (true, 5, 1 - before));
        cell.store(7 << 32, Ordering::Relaxed);
        assert_eq!((word.give_noticeably(), cell.load(Ordering::Relaxed)), (false, 7 << 32));
    }

    #[test]
    fn the_version_may_wrap_without_touching_the_count() {
        let cell = AtomicU64::new(u64::from(u32::MAX) << 32 | 5);
        let word = CountWord(&cell);
        assert_eq!(word.take(None), Ok(()));
        assert_eq!(word.get(), 6);
        cell.store(u64::from(u32::MAX) << 32 | 5, Ordering::Relaxed);
        assert!(word.give());
        assert_eq!(word.get(), 4);
    }
}
