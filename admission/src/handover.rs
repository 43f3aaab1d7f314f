//! Numbers that many processes hand over to one, in memory that they share: each is taken exactly once, in no order.
//!
//! A number lies in one word: it is put by one swap, and taken by a look and a store, for nobody else writes a word that is full. Whoever
//! dies in the middle has put all of it or nothing. It must never wait, and never put a number where another one lies.

use crate::sync::{AtomicU64, Ordering, Site, swap};

/// How many words a number may find taken before it is given back.
const LOOKS: usize = 8;

/// The words, all zero at the start, and a hint where the next one goes.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    words: &'a [AtomicU64],
    hint: &'a AtomicU64,
}

impl<'a> Handover<'a> {
    /// Over `words` and a further word.
    #[must_use]
    pub fn new(words: &'a [AtomicU64], hint: &'a AtomicU64) -> Handover<'a> {
        Handover { words, hint }
    }

    /// Hands `number` over; `false` when there was no room for it, or when it is the one number that cannot be told from none.
    #[must_use]
    pub fn put(&self, number: u64) -> bool {
        let Some(word) = number.checked_add(1) else { return false };
        if self.words.is_empty() {
            return false;
        }
        let first = self.hint.fetch_add(1, Ordering::Relaxed);
        (0..LOOKS.min(self.words.len())).any(|step| {
            let place = (first.wrapping_add(step as u64) % self.words.len() as u64) as usize;
            self.words.get(place).is_some_and(|cell| {
                // The number is all there is to see: nothing that was written before needs to be seen with it.
                swap(Site::PutSwap, cell, 0, word, Ordering::Relaxed).is_ok()
            })
        })
    }

    /// Takes every number that is there. For one process alone: two would both take a number.
    pub fn take(&self, mut taken: impl FnMut(u64)) {
        for cell in self.words {
            if let Some(number) = cell.load(Ordering::Relaxed).checked_sub(1) {
                cell.store(0, Ordering::Relaxed);
                taken(number);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn words(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    fn taken(handover: Handover<'_>) -> Vec<u64> {
        let mut numbers = Vec::new();
        handover.take(|number| numbers.push(number));
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn what_is_put_is_taken_once() {
        let (words, hint) = (words(4), AtomicU64::new(u64::MAX - 1));
        let handover = Handover::new(&words, &hint);
        assert!([0, 7, u64::MAX - 1].into_iter().all(|number| handover.put(number)));
        assert_eq!(taken(handover), [0, 7, u64::MAX - 1]);
        assert_eq!(taken(handover), []);
    }

    #[test]
    fn what_finds_no_room_is_given_back_and_harms_nobody() {
        let (words, hint) = (words(2), AtomicU64::new(0));
        let handover = Handover::new(&words, &hint);
        assert!(handover.put(1) && handover.put(2) && !handover.put(3));
        assert_eq!(taken(handover), [1, 2]);
        assert!(handover.put(3));
        assert_eq!(taken(handover), [3]);
        assert!(!handover.put(u64::MAX), "it could not be told from none");
        assert!(!Handover::new(&[], &hint).put(1));
    }
}
