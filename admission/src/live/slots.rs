//! Call slots: one for each admitted call, found by the call's key, taken and given back without a lock.
//!
//! A slot's *tag* is one word: fingerprint of the key, use number, state. A call may stand in one of two windows of
//! [`WINDOW`] tags that its key names; whoever claims a tag and then sees the same call claimed elsewhere steps back.
//! The *body* belongs to whoever brought the tag from `FREE` to `TAKING`, until the state moves on; a reader copies and
//! looks at the tag again. Nobody waits for anybody: the only loop that watches another process is bounded.

use std::cell::Cell;

use super::layout::{B_KEY, BODY_WORDS};
use super::tag::Tag;
pub use super::tag::{SlotRef, SlotState};
pub(crate) use super::window::WINDOW;
use super::window::{self, Sight};
use crate::crash;
use crate::map;
use crate::sync::{AtomicU64, Ordering, Site, at, fence_at, spin_loop, swap, twin_fence};

/// How often a claimer looks whether the other one has stepped back. Loom explores the rest.
const PATIENCE: usize = if cfg!(loom) { 1 } else { 200 };

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

    /// Looks for the call elsewhere than at `own`, among the tags in `sight` that are alike.
    #[inline]
    fn elsewhere(self, key: CallKey, sight: Sight, own: Option<usize>) -> Elsewhere {
        let mut taking = None;
        for index in sight.places(sight.alike) {
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
        taking.map_or(Elsewhere::Nowhere, Elsewhere::Taking)
    }

    /// What there is of a call, some of whose tags are like its own.
    #[cold]
    fn known(self, key: CallKey, sight: Sight) -> Option<Claim> {
        match self.elsewhere(key, sight, None) {
            Elsewhere::Admitted(slot) => Some(Claim::Again(slot)),
            Elsewhere::Taking(_) => Some(Claim::InFlight),
            Elsewhere::Nowhere => None,
        }
    }

    /// Looks for a call: whether it is admitted or being judged already, and where it could go.
    #[inline]
    pub(crate) fn look(self, key: CallKey) -> Look {
        let sight = self.sight(key);
        Look { known: if sight.alike == 0 { None } else { self.known(key, sight) }, sight }
    }

    /// Where a call will go that nobody has met, if nobody else takes that place first: asked long before it is claimed, so that the
    /// slot's body is on its way from memory meanwhile. `None` of a call that is known or finds no room.
    #[inline]
    pub(crate) fn look_ahead(self, key: CallKey) -> Option<usize> {
        let Look { sight, known } = self.look(key);
        let [free, _] = sight.free_places();
        let index = sight.places(free).next().filter(|_| known.is_none())?;
        let body = index * BODY_WORDS;
        (0..BODY_WORDS).step_by(8).for_each(|word| map::prefetch_to_write(self.bodies.get(body + word)));
        Some(index)
    }

    /// Claims a free slot for a call that nobody else has.
    #[cold]
    pub(crate) fn claim(self, key: CallKey) -> Claim {
        // Once more, when others took all that was free in between.
        for _ in 0..2 {
            let Look { sight, known } = self.look(key);
            if let Some(known) = known {
                return known;
            }
            let mut places = sight.free_places().into_iter().flat_map(|free| sight.places(free));
            if let Some(own) = places.find_map(|index| self.try_claim(index, key)) {
                return self.settle(own, key);
            }
        }
        Claim::Full
    }

    /// The same of a call that a look ahead found a place for: it claims that if it is still free.
    #[inline]
    pub(crate) fn claim_at(self, key: CallKey, place: usize) -> Claim {
        match self.try_claim(place, key) {
            Some(own) => self.settle(own, key),
            None => self.claim(key),
        }
    }

    /// Finds out whether the call has a twin that was claimed at the same time, and which of the two stays.
    #[inline]
    fn settle(self, own: SlotRef, key: CallKey) -> Claim {
        // Each twin stores its tag, then looks; so at least one sees the other. And whoever reads a word of the new body,
        // which is written below, then sees that the tag has moved on.
        twin_fence();
        crash::point("slot.claimed");
        let index = own.index as usize;
        for attempt in 0..=PATIENCE {
            let sight = self.sight(key);
            // Nearly always its own tag is the only one that is like it.
            if sight.alike.is_power_of_two() {
                return Claim::Claimed(own);
            }
            match self.elsewhere(key, sight, Some(index)) {
                Elsewhere::Nowhere => return Claim::Claimed(own),
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

/// What looking for a call came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    sight: Sight,
    /// The call is admitted or being judged already.
    pub(crate) known: Option<Claim>,
}

/// The place that was found for a call by looking ahead, until it is claimed. Kept word by word: what is written in one piece and read
/// in another is waited for.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    call: [Cell<u64>; 2],
    place: Cell<Option<usize>>,
}

impl Ahead {
    /// Instead of whichever was noted before.
    #[inline]
    pub(crate) fn note(&self, key: CallKey, place: Option<usize>) {
        self.call.iter().zip(key.words()).for_each(|(word, value)| word.set(value));
        self.place.set(place);
    }

    /// The place that was noted of this call, once.
    #[inline]
    pub(crate) fn take(&self, key: CallKey) -> Option<usize> {
        let is_its = self.call.iter().zip(key.words()).all(|(word, value)| word.get() == value);
        self.place.take().filter(|_| is_its)
    }
}

enum Elsewhere {
    Nowhere,
    Taking(usize),
    Admitted(SlotRef),
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::hash::Keys;

    fn cells(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_table_at_its_capacity_is_turned_over_without_refusing_a_call() {
        const CALLS: usize = 32_768;
        let (tags, bodies) = (cells(CALLS * 2), cells(CALLS * 2 * BODY_WORDS));
        let slots = Slots::new(&tags, &bodies);
        let keys = Keys(11, 22);
        let key = |call: u64| CallKey::new([keys.word(call), keys.pair(call, 1)]);
        let admit = |call: u64| match slots.claim(key(call)) {
            Claim::Claimed(slot) => {
                slots.write_key(slot, key(call));
                slots.open(slot, key(call));
                slot
            }
            other => panic!("call {call}: {other:?}"),
        };
        let mut held: Vec<SlotRef> = (0..CALLS as u64).map(admit).collect();
        for call in CALLS as u64..5 * CALLS as u64 {
            let ended = keys.pair(call, 2) as usize % CALLS;
            assert!(slots.advance(held[ended], &[SlotState::Ringing], SlotState::Free));
            held[ended] = admit(call);
        }
        assert_eq!(slots.in_use().count(), CALLS);
    }

    #[test]
    fn an_old_look_misses_no_place_that_is_free_now() {
        let (tags, bodies) = (cells(2 * WINDOW), cells(2 * WINDOW * BODY_WORDS));
        let slots = Slots::new(&tags, &bodies);
        let key = CallKey::new([7, 7 << 32]);
        let stranger = Tag::new(!Slots::fingerprint(key), 1, SlotState::Ringing).0;
        let all_but = |free: Option<usize>| {
            let fill = |(index, tag): (usize, &AtomicU64)| {
                tag.store(if Some(index) == free { 0 } else { stranger }, Ordering::Relaxed);
            };
            tags.iter().enumerate().for_each(fill);
        };
        for now in [0, 3, WINDOW, 2 * WINDOW - 1] {
            all_but(Some(5));
            let place = slots.look_ahead(key);
            assert_eq!(place, Some(5));
            all_but(Some(now));
            let Claim::Claimed(slot) = slots.claim_at(key, 5) else { panic!("{now}") };
            assert_eq!(slot.index as usize, now);
        }
        all_but(Some(5));
        assert_eq!(slots.look_ahead(key), Some(5));
        all_but(None);
        assert_eq!(slots.claim_at(key, 5), Claim::Full);
        assert_eq!(slots.look_ahead(key), None);
    }

    #[test]
    fn a_call_is_found_in_either_of_its_windows() {
        let (tags, bodies) = (cells(4 * WINDOW), cells(4 * WINDOW * BODY_WORDS));
        let slots = Slots::new(&tags, &bodies);
        let key = (0..).map(|n| CallKey::new([n << 30, n << 33])).find(|&key| {
            let [first, second] = slots.windows(key);
            first != second
        });
        let key = key.unwrap();
        for window in slots.windows(key) {
            // The other window is full of strangers, so the call goes here.
            let other = slots.windows(key).into_iter().find(|&other| other != window).unwrap();
            let strangers = Tag::new(!Slots::fingerprint(key), 0, SlotState::Ringing);
            tags[other..other + WINDOW].iter().for_each(|tag| tag.store(strangers.0, Ordering::Relaxed));
            let Claim::Claimed(slot) = slots.claim(key) else { panic!() };
            assert!((window..window + WINDOW).contains(&(slot.index as usize)));
            assert_eq!(slots.claim(key), Claim::InFlight);
            slots.write_key(slot, key);
            slots.advance(slot, &[SlotState::Taking], SlotState::Answered);
            assert_eq!(slots.claim(key), Claim::Again(slot));
            tags.iter().for_each(|tag| tag.store(0, Ordering::Relaxed));
        }
    }
}
