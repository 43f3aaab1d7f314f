//! A slot for a call: looking for the call, claiming a place, finding out about a twin.
//!
//! Must never leave one call in two slots, whoever judges copies of it at the same time: each claims first and looks then.

use std::cell::Cell;

use super::{BODY_WORDS, CallKey, Claim, Sight, SlotRef, SlotState, Slots};
use crate::sync::{spin_loop, twin_fence};
use crate::{crash, map};

/// How often a claimer looks whether the other one has stepped back. Loom explores the rest.
const PATIENCE: usize = if cfg!(loom) { 1 } else { 200 };

impl Slots<'_> {
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
