//! Words of a mapping that belongs to somebody else: loaded, never stored.
//!
//! Must never panic, whatever is asked for: offsets come from files.

use super::prefetch;
use crate::sync::{AtomicU64, Ordering};

/// Words that are only ever loaded. Anything out of range reads as 0, so no offset found in a file can panic.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a>(&'a [AtomicU64]);

impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a [AtomicU64]) -> Words<'a> {
        Words(words)
    }

    /// How many there are.
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    /// One word; 0 beyond the end.
    #[inline]
    pub(crate) fn at(self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// `count` words from `from`, or as many of them as exist.
    #[inline]
    pub(crate) fn range(self, from: usize, count: usize) -> Words<'a> {
        let end = from.saturating_add(count).min(self.0.len());
        Words(self.0.get(from..end).unwrap_or(&[]))
    }

    /// Asks for the line of a word that will be read soon.
    #[inline(always)]
    pub(crate) fn prefetch(self, index: usize) {
        prefetch(self.0.get(index));
    }

    /// `N` words from `from`, those beyond the end as 0.
    #[inline]
    pub(crate) fn array<const N: usize>(self, from: usize) -> [u64; N] {
        match self.0.get(from..).and_then(|words| words.first_chunk::<N>()) {
            Some(words) => core::array::from_fn(|index| words[index].load(Ordering::Relaxed)),
            None => core::array::from_fn(|index| self.at(from.saturating_add(index))),
        }
    }

    /// All of them in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u64> + 'a {
        self.0.iter().map(|word| word.load(Ordering::Relaxed))
    }
}
