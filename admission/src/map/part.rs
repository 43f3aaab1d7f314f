//! A stretch of a mapping that is asked for again and again: found and bounded once, and then two words away.

use std::ptr::NonNull;
use std::sync::Arc;

use super::{Map, Words};
use crate::sync::AtomicU64;

/// Some words of a mapping, which stays as long as they do.
#[derive(Debug)]
pub(crate) struct Part {
    first: NonNull<AtomicU64>,
    words: usize,
    map: Arc<Map>,
}

// SAFETY: as for `Map`, whose words these are.
unsafe impl Send for Part {}
// SAFETY: as for `Map`.
unsafe impl Sync for Part {}

impl Part {
    /// `count` words from `from`; `None` if the mapping has not all of them.
    pub(crate) fn of(map: &Arc<Map>, from: usize, count: usize) -> Option<Part> {
        let words = map.raw_words().get(from..)?.get(..count)?;
        Some(Part { first: NonNull::from(words).cast(), words: count, map: Arc::clone(map) })
    }

    /// They, for loading only.
    #[inline]
    pub(crate) fn words(&self) -> Words<'_> {
        Words::new(self.raw())
    }

    /// They, as [`Map::shared_words`].
    #[inline]
    pub(crate) fn shared(&self) -> &[AtomicU64] {
        assert!(self.map.writable, "a mapping opened for reading is read through `words`");
        self.raw()
    }

    #[inline]
    #[cfg(not(loom))]
    fn raw(&self) -> &[AtomicU64] {
        // SAFETY: found within the mapping, which is held, and never moved or cut while anybody does; any bits are a u64.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }

    /// As [`Map::raw_words`]: never asked under loom.
    #[cfg(loom)]
    fn raw(&self) -> &[AtomicU64] {
        let _ = (self.first, self.words);
        self.map.raw_words()
    }
}
