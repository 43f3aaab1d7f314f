//! A window of tags, looked at as a whole: which of them have a fingerprint, and which are free.
//!
//! Must never branch on a tag: what other calls' tags hold is anybody's guess, and each wrong guess costs more than the look.

#[cfg(any(test, not(target_arch = "x86_64"), loom))]
use super::tag::Tag;
use crate::sync::AtomicU64;
#[cfg(any(test, not(target_arch = "x86_64"), loom))]
use crate::sync::Ordering;

/// Tags in a window: one cache line.
pub(crate) const WINDOW: usize = if cfg!(loom) { 2 } else { 8 };

/// Which tags have the fingerprint, and which are free: one bit each. Sequentially consistent loads, as
/// [`crate::sync::twin_fence`] wants them.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[inline(always)]
pub(super) fn sight(tags: &[AtomicU64; WINDOW], fingerprint: u32) -> (u32, u32) {
    // A tag's lowest byte is its state, and a free one's is 0.
    crate::map::marks(tags, fingerprint)
}

#[cfg(any(not(target_arch = "x86_64"), loom))]
pub(super) use one_by_one as sight;

/// What `marks` finds, without registers of several words: for other processors and loom, and to compare with.
#[cfg(any(test, not(target_arch = "x86_64"), loom))]
pub(super) fn one_by_one(tags: &[AtomicU64; WINDOW], fingerprint: u32) -> (u32, u32) {
    let tags: [u64; WINDOW] = core::array::from_fn(|bit| tags[bit].load(Ordering::SeqCst));
    let mask = |test: &dyn Fn(Tag) -> bool| {
        tags.iter().rev().fold(0, |mask, &tag| mask << 1 | u32::from(test(Tag(tag))))
    };
    (mask(&|tag| tag.fingerprint() == fingerprint), mask(&Tag::is_free))
}

/// What the tags of a call's two windows were when they were looked at: one bit each, the second window's above the
/// first's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) windows: [usize; 2],
    pub(super) alike: u32,
    pub(super) free: u32,
}

impl Sight {
    /// The indexes of the tags whose bits are set.
    #[inline]
    pub(super) fn places(self, mut bits: u32) -> impl Iterator<Item = usize> {
        core::iter::from_fn(move || {
            let bit = bits.trailing_zeros() as usize;
            bits &= bits.checked_sub(1)?;
            Some(self.windows[bit / WINDOW] + bit % WINDOW)
        })
    }

    /// The free tags of the emptier window, then those of the other: calls spread evenly, so that windows of one cache
    /// line do not fill up while half of all tags are free.
    #[inline]
    pub(super) fn free_places(self) -> [u32; 2] {
        let first = self.free & ((1 << WINDOW) - 1);
        let second = self.free & !first;
        if first.count_ones() >= second.count_ones() { [first, second] } else { [second, first] }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tags_looked_at_together_are_what_they_are_one_by_one(
            picks in prop::array::uniform8((0..4_usize, any::<u32>(), any::<u8>(), any::<bool>())), fingerprint: u32
        ) {
            // Fingerprints that are alike, and alike but for one end of them; states that are free, and nearly.
            let tags = picks.map(|(pick, other, state, is_free)| {
                let print = [fingerprint, fingerprint ^ 1, fingerprint ^ 1 << 31, other][pick];
                let state = if is_free { 0 } else { u64::from(state) };
                AtomicU64::new(u64::from(print) << 32 | u64::from(other) << 8 & 0xffff_ff00 | state)
            });
            prop_assert_eq!(sight(&tags, fingerprint), one_by_one(&tags, fingerprint));
        }
    }
}
