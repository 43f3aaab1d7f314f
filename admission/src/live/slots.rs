//! Call slots: one for each admitted call, found by the call's key, taken and given back without a lock.
//!
//! A slot's *tag* is one word: fingerprint of the key, use number, state. A call may stand in one of two windows of
//! [`WINDOW`] tags that its key names; whoever claims a tag and then sees the same call claimed elsewhere steps back.
//! The *body* belongs to whoever brought the tag from `FREE` to `TAKING`, until the state moves on; a reader copies and
//! looks at the tag again. Nobody waits for anybody: the only loop that watches another process is bounded.

mod claim;
#[cfg(all(test, not(loom)))]
mod tests;

use super::layout::{B_KEY, BODY_WORDS};
use super::tag::Tag;
pub use super::tag::{SlotRef, SlotState};
pub(crate) use super::window::WINDOW;
use super::window::{self, Sight};
use crate::crash;
use crate::map;
use crate::sync::{AtomicU64, Ordering, Site, at, fence_at, swap};
pub(crate) use claim::Ahead;

/// A call's key: 128 bits of keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey(u64, u64);

impl CallKey {
    #[inline]
    pub(crate) const fn new([first, second]: [u64; 2]) -> CallKey {
        CallKey(first, second)
    }

    #[inline]
    fn words(self) -> [u64; 2] {
        [self.0, self.1]
    }
}

/// What claiming came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The slot is the caller's to fill or to abandon.
    Claimed(SlotRef),
    /// The call is admitted already.
    Again(SlotRef),
    /// Another worker is judging the same call now.
    InFlight,
    /// Both windows are full.
    Full,
}

/// The tags and bodies of all slots.
#[derive(Clone, Copy)]
pub(crate) struct Slots<'a> {
    pub(super) tags: &'a [AtomicU64],
    pub(super) bodies: &'a [AtomicU64],
}

impl<'a> Slots<'a> {
    pub(crate) fn new(tags: &'a [AtomicU64], bodies: &'a [AtomicU64]) -> Slots<'a> {
        Slots { tags, bodies }
    }

    /// Where the two windows of a call begin: two different ones, unless there is only one. So even in a small table a
    /// call finds both full only when there are calls for both.
    #[inline]
    fn windows(self, key: CallKey) -> [usize; 2] {
        let windows = (self.tags.len() / WINDOW) as u64;
        let below = |hash: u64, bound: u64| ((hash & 0xffff_ffff) * bound) >> 32;
        let first = below(key.0, windows);
        let apart = below(key.0.rotate_left(32) ^ key.1, windows.max(2) - 1) + 1;
        let second =
            if first + apart < windows { first + apart } else { (first + apart).saturating_sub(windows) };
        [first, second].map(|window| window as usize * WINDOW)
    }

    /// Asks for the tags of a call that will be looked for soon.
    #[inline]
    pub(crate) fn prefetch(self, key: CallKey) {
        self.windows(key).into_iter().for_each(|window| map::prefetch_to_write(self.tags.get(window)));
    }

    /// Which tags of a call's two windows have its fingerprint, and which are free.
    #[inline]
    fn sight(self, key: CallKey) -> Sight {
        let windows = self.windows(key);
        let first = self.window_sight(windows[0], key);
        // Two windows that are one are looked at once.
        let second = if windows[0] == windows[1] { (0, 0) } else { self.window_sight(windows[1], key) };
        Sight { windows, alike: first.0 | second.0 << WINDOW, free: first.1 | second.1 << WINDOW }
    }

    #[inline]
    fn window_sight(self, from: usize, key: CallKey) -> (u32, u32) {
        let tags = self.tags.get(from..).and_then(|tags| tags.first_chunk::<WINDOW>());
        tags.map_or((0, 0), |tags| window::sight(tags, Slots::fingerprint(key)))
    }

    #[inline]
    fn fingerprint(key: CallKey) -> u32 {
        (key.1 >> 32) as u32
    }

    #[inline]
    pub(super) fn tag(self, index: usize) -> Tag {
        Tag(self.tags[index].load(at(Site::TagLoad, Ordering::Acquire)))
    }

    /// One word of a slot's body; `None` when the slot does not exist.
    pub(crate) fn body(self, index: u32, word: usize) -> Option<&'a AtomicU64> {
        self.bodies.get(index as usize * BODY_WORDS + word)
    }

    /// A slot's whole body; `None` when the slot does not exist.
    #[inline]
    pub(crate) fn whole_body(self, index: u32) -> Option<&'a [AtomicU64; BODY_WORDS]> {
        self.bodies.get(index as usize * BODY_WORDS..)?.first_chunk()
    }

    /// Whether the slot at `index`, whose tag was seen as `tag`, holds this very call.
    fn holds(self, index: usize, tag: Tag, key: CallKey) -> bool {
        let found = [0, 1].map(|word| self.bodies[index * BODY_WORDS + B_KEY + word].load(Ordering::Relaxed));
        fence_at(Site::KeyLoadFence, Ordering::Acquire); // with the fence in `settle`
        found == key.words() && self.tags[index].load(Ordering::Relaxed) >> 8 == tag.0 >> 8
    }

    #[inline]
    fn try_claim(self, index: usize, key: CallKey) -> Option<SlotRef> {
        let cell = self.tags.get(index)?;
        let tag = Tag(cell.load(at(Site::TagLoad, Ordering::Acquire)));
        if tag.state() != Some(SlotState::Free) {
            return None;
        }
        let taking = Tag::new(Slots::fingerprint(key), tag.used().wrapping_add(1), SlotState::Taking);
        swap(Site::TagClaim, cell, tag.0, taking.0, Ordering::SeqCst).ok()?;
        Some(SlotRef { index: index as u32, used: taking.used() })
    }

    /// Writes the key of a slot that the caller has claimed: before anything else in its body, and before it goes on from
    /// `TAKING`. Not at once with the claim, because the body may be far from the processor, and the swaps of the limits
    /// that come in between would wait for it.
    #[inline]
    pub(crate) fn write_key(self, slot: SlotRef, key: CallKey) {
        let Some(body) = self.whole_body(slot.index) else { return };
        for (word, value) in key.words().into_iter().enumerate() {
            body[B_KEY + word].store(value, Ordering::Relaxed);
            crash::point("slot.keyed");
        }
    }

    /// The tag of this use of a slot, or `None` when the slot has moved on.
    fn current(self, slot: SlotRef) -> Option<Tag> {
        let tag = Tag(self.tags.get(slot.index as usize)?.load(at(Site::TagLoad, Ordering::Acquire)));
        (tag.used() == slot.used).then_some(tag)
    }

    /// The state of this use of a slot; `None` when the slot has moved on.
    pub(crate) fn state(self, slot: SlotRef) -> Option<SlotState> {
        self.current(slot)?.state()
    }

    /// Brings this use of a slot from one of `from` to `to`; exactly one caller succeeds.
    pub(crate) fn advance(self, slot: SlotRef, from: &[SlotState], to: SlotState) -> bool {
        while let Some(tag) = self.current(slot) {
            if !tag.state().is_some_and(|state| from.contains(&state)) {
                return false;
            }
            let next = tag.with(to);
            let cell = &self.tags[slot.index as usize];
            if swap(Site::TagSwap, cell, tag.0, next.0, at(Site::TagStore, Ordering::AcqRel)).is_ok() {
                return true;
            }
        }
        false
    }

    /// Hands a claimed slot over, filled: from now on it carries a call. A store, because a slot that is being judged is
    /// its claimer's alone, for as long as that lives.
    #[inline]
    pub(crate) fn open(self, slot: SlotRef, key: CallKey) {
        if let Some(cell) = self.tags.get(slot.index as usize) {
            let tag = Tag::new(Slots::fingerprint(key), slot.used, SlotState::Ringing);
            cell.store(tag.0, at(Site::TagStore, Ordering::Release));
        }
    }

    /// Gives a claimed slot back unused.
    pub(crate) fn abandon(self, slot: SlotRef) {
        self.advance(slot, &[SlotState::Taking], SlotState::Free);
        crash::point("slot.abandoned");
    }

    /// Slots in a call's windows whose calls are ending: [`Slots::look`] passes them over.
    pub(super) fn ending(self, key: CallKey) -> impl Iterator<Item = SlotRef> {
        let places = self.windows(key).into_iter().flat_map(|window| window..window + WINDOW);
        places.filter(move |&index| index < self.tags.len()).filter_map(move |index| {
            let tag = self.tag(index);
            let alike = tag.fingerprint() == Slots::fingerprint(key);
            (alike && tag.state() == Some(SlotState::Ending))
                .then_some(SlotRef { index: index as u32, used: tag.used() })
        })
    }

    /// All slots that are not free.
    pub(crate) fn in_use(self) -> impl Iterator<Item = (SlotRef, SlotState)> {
        self.in_use_from(0)
    }

    /// Those from this index on.
    pub(crate) fn in_use_from(self, index: usize) -> impl Iterator<Item = (SlotRef, SlotState)> {
        (index..self.tags.len()).filter_map(move |index| {
            let tag = self.tag(index);
            let state = tag.state().filter(|&state| state != SlotState::Free)?;
            Some((SlotRef { index: index as u32, used: tag.used() }, state))
        })
    }
}
