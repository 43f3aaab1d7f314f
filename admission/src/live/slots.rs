//! Call slots: one for each admitted call, found by the call's key, taken and given back without a lock.
//!
//! A slot's *tag* is one word: fingerprint of the key, use number, state. A call may stand in one of two windows of
//! [`WINDOW`] tags that its key names; whoever claims a tag and then sees the same call claimed elsewhere steps back.
//! The *body* belongs to whoever brought the tag from `FREE` to `TAKING`, until the state moves on; a reader copies and
//! looks at the tag again. Nobody waits for anybody: the only loop that watches another process is bounded.

use super::layout::{B_KEY, BODY_WORDS};
use crate::crash;
use crate::sync::{AtomicU64, Ordering, Site, at, fence_at, spin_loop, swap};

/// Tags in a window: two cache lines.
pub(crate) const WINDOW: usize = if cfg!(loom) { 2 } else { 16 };
/// How often a claimer looks whether the other one has stepped back. Loom explores the rest.
const PATIENCE: usize = if cfg!(loom) { 1 } else { 200 };

/// A call's key: 128 bits of keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey(pub(crate) [u64; 2]);

/// A slot in one use of it. Survives its slot: what refers to an earlier use matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotRef {
    pub(crate) index: u32,
    pub(crate) used: u32,
}

impl SlotRef {
    /// As one word, never 0: fits a pointer that a callback carries.
    pub fn to_raw(self) -> u64 {
        (u64::from(self.used) << 32 | u64::from(self.index)) + 1
    }

    /// The inverse of [`SlotRef::to_raw`].
    pub fn from_raw(raw: u64) -> Option<SlotRef> {
        let raw = raw.checked_sub(1)?;
        Some(SlotRef { index: raw as u32, used: (raw >> 32) as u32 & USED_MASK })
    }
}

/// Where a slot stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotState {
    /// Nobody's.
    Free = 0,
    /// A worker is judging the call.
    Taking = 1,
    /// Admitted, not answered yet.
    Ringing = 2,
    /// Answered.
    Answered = 3,
    /// A worker writes the call's ending.
    Ending = 4,
    /// The daemon writes the ending of a call that lost its dialog.
    Reclaiming = 5,
}

const USED_MASK: u32 = 0x00ff_ffff;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(pub(super) u64);

impl Tag {
    fn new(fingerprint: u32, used: u32, state: SlotState) -> Tag {
        Tag(u64::from(fingerprint) << 32 | u64::from(used & USED_MASK) << 8 | state as u64)
    }

    fn fingerprint(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn used(self) -> u32 {
        (self.0 >> 8) as u32 & USED_MASK
    }

    /// `None` for a state nobody writes: such a slot is left alone.
    pub(super) fn state(self) -> Option<SlotState> {
        Some(match self.0 as u8 {
            0 => SlotState::Free,
            1 => SlotState::Taking,
            2 => SlotState::Ringing,
            3 => SlotState::Answered,
            4 => SlotState::Ending,
            5 => SlotState::Reclaiming,
            _ => return None,
        })
    }

    pub(super) fn with(self, state: SlotState) -> Tag {
        Tag(self.0 & !0xff | state as u64)
    }

    fn carries_call(self) -> bool {
        matches!(self.state(), Some(SlotState::Ringing | SlotState::Answered))
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

    /// Where the two windows of a call begin; they may be one.
    #[inline]
    fn windows(self, key: CallKey) -> [usize; 2] {
        let windows = (self.tags.len() / WINDOW) as u64;
        [key.0[0], key.0[0].rotate_left(32) ^ key.0[1]]
            .map(|hash| (((hash & 0xffff_ffff) * windows) >> 32) as usize * WINDOW)
    }

    /// Which tags of a window have this fingerprint, one bit each: nearly always none, found without a branch for each.
    #[inline]
    fn alike(self, window: usize, fingerprint: u32) -> u32 {
        let Some(tags) = self.tags.get(window..).and_then(|tags| tags.first_chunk::<WINDOW>()) else {
            return 0;
        };
        let same = |cell: &AtomicU64| Tag(cell.load(Ordering::Relaxed)).fingerprint() == fingerprint;
        if !tags.iter().fold(false, |any, cell| any | same(cell)) {
            return 0;
        }
        (0..).zip(tags).fold(0, |alike, (bit, cell)| alike | u32::from(same(cell)) << bit)
    }

    fn fingerprint(key: CallKey) -> u32 {
        (key.0[1] >> 32) as u32
    }

    #[inline]
    fn tag(self, index: usize) -> Tag {
        Tag(self.tags[index].load(at(Site::TagLoad, Ordering::Acquire)))
    }

    /// One word of a slot's body; `None` when the slot does not exist.
    pub(crate) fn body(self, index: u32, word: usize) -> Option<&'a AtomicU64> {
        self.bodies.get(index as usize * BODY_WORDS + word)
    }

    /// Whether the slot at `index`, whose tag was seen as `tag`, holds this very call.
    fn holds(self, index: usize, tag: Tag, key: CallKey) -> bool {
        let found = [0, 1].map(|word| self.bodies[index * BODY_WORDS + B_KEY + word].load(Ordering::Relaxed));
        fence_at(Site::KeyLoadFence, Ordering::Acquire); // with the fence in `claim`
        found == key.0 && self.tags[index].load(Ordering::Relaxed) >> 8 == tag.0 >> 8
    }

    /// Looks for the call elsewhere than at `own`.
    fn elsewhere(self, key: CallKey, own: Option<usize>) -> Elsewhere {
        let mut taking = None;
        let [first, second] = self.windows(key);
        for window in [Some(first), (second != first).then_some(second)].into_iter().flatten() {
            let mut alike = self.alike(window, Slots::fingerprint(key));
            while alike != 0 {
                let index = window + alike.trailing_zeros() as usize;
                alike &= alike - 1;
                let tag = self.tag(index);
                if Some(index) == own || tag.fingerprint() != Slots::fingerprint(key) {
                    continue;
                }
                if tag.carries_call() && self.holds(index, tag, key) {
                    return Elsewhere::Admitted(SlotRef { index: index as u32, used: tag.used() });
                }
                if tag.state() == Some(SlotState::Taking) {
                    taking = taking.or(Some(index));
                }
            }
        }
        taking.map_or(Elsewhere::Nowhere, Elsewhere::Taking)
    }

    /// Whether this call is already admitted or being judged.
    pub(crate) fn find(self, key: CallKey) -> Option<Claim> {
        match self.elsewhere(key, None) {
            Elsewhere::Admitted(slot) => Some(Claim::Again(slot)),
            Elsewhere::Taking(_) => Some(Claim::InFlight),
            Elsewhere::Nowhere => None,
        }
    }

    /// Claims a free slot for a call that nobody else has.
    pub(crate) fn claim(self, key: CallKey) -> Claim {
        let mut places = self.windows(key).into_iter().flat_map(|window| window..window + WINDOW);
        let Some(index) = places.find(|&index| self.try_claim(index, key)) else {
            return self.find(key).unwrap_or(Claim::Full);
        };
        // Each twin stores its tag, passes a fence, then looks; so at least one sees the other. And whoever reads a
        // word of the new body, which is written below, then sees that the tag has moved on.
        fence_at(Site::TwinFence, Ordering::SeqCst);
        crash::point("slot.claimed");
        let own = SlotRef { index: index as u32, used: self.tag(index).used() };
        for attempt in 0..=PATIENCE {
            match self.elsewhere(key, Some(index)) {
                Elsewhere::Nowhere => {
                    self.write_key(index, key);
                    return Claim::Claimed(own);
                }
                Elsewhere::Admitted(slot) => {
                    self.abandon(own);
                    return Claim::Again(slot);
                }
                // The one further on steps back; the other watches it do so, for a bounded while.
                Elsewhere::Taking(other) if other > index && attempt < PATIENCE => spin_loop(),
                Elsewhere::Taking(_) => break,
            }
        }
        self.abandon(own);
        Claim::InFlight
    }

    fn try_claim(self, index: usize, key: CallKey) -> bool {
        let Some(cell) = self.tags.get(index) else { return false };
        let tag = Tag(cell.load(at(Site::TagLoad, Ordering::Acquire)));
        if tag.state() != Some(SlotState::Free) {
            return false;
        }
        let taking = Tag::new(Slots::fingerprint(key), tag.used().wrapping_add(1), SlotState::Taking);
        swap(Site::TagClaim, cell, tag.0, taking.0, Ordering::AcqRel).is_ok()
    }

    fn write_key(self, index: usize, key: CallKey) {
        for (word, &value) in key.0.iter().enumerate() {
            self.bodies[index * BODY_WORDS + B_KEY + word].store(value, Ordering::Relaxed);
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

    /// Gives a claimed slot back unused.
    pub(crate) fn abandon(self, slot: SlotRef) {
        self.advance(slot, &[SlotState::Taking], SlotState::Free);
        crash::point("slot.abandoned");
    }

    /// Slots in a call's windows whose calls are ending: [`Slots::find`] passes them over.
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
        (0..self.tags.len()).filter_map(move |index| {
            let tag = self.tag(index);
            let state = tag.state().filter(|&state| state != SlotState::Free)?;
            Some((SlotRef { index: index as u32, used: tag.used() }, state))
        })
    }
}

enum Elsewhere {
    Nowhere,
    Taking(usize),
    Admitted(SlotRef),
}
