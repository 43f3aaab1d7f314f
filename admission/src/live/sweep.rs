//! What the daemon sees of slots, and how it takes back those of calls that nobody will end.
//!
//! Reclaiming has two steps, like ending: the slot is marked, the call's ending is stored, the slot is freed. A daemon
//! that dies in between finds the mark at its next start and goes on; so no call ends twice and none never.

use super::layout::*;
use super::slots::{SlotRef, SlotState};
use super::{CountWord, Live, Scope};
use crate::clock::CallClock;
use crate::crash;
use crate::sync::Ordering;

/// How far a reclaim is whose call shall be taken out of no count: beyond the last step.
pub(super) const UNCOUNTED: u64 = 4 << 1;

/// A slot in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotView {
    /// The slot in this use of it.
    pub slot: SlotRef,
    /// Where it stands.
    pub state: SlotState,
    /// The epoch in which the call was admitted or last restored.
    pub epoch: u64,
    /// `live` index of the call's trunk.
    pub trunk_live: u32,
    /// The call's own id.
    pub uid: [u8; 16],
    /// Kamailio's dialog, `(h_entry, h_id)`; `(0, 0)` while there is none.
    pub dialog: (u32, u32),
    /// When the call was admitted, in milliseconds since 1970.
    pub start_wall_ms: u64,
    /// When it first rang, or 0.
    pub ring_wall_ms: u64,
    /// When it was answered, or 0.
    pub answer_wall_ms: u64,
    /// The clock that these times are from.
    pub clock: CallClock,
}

/// A slot marked by [`Live::begin_reclaim`]; to be freed when the call's ending is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Reclaimed(pub SlotView);

impl Live {
    /// All slots in use, as they are at the moment each is looked at.
    pub fn slots_in_use(&self) -> Vec<SlotView> {
        self.slots_from(0).collect()
    }

    /// The slots in use from this index on, each as it is at the moment it is looked at.
    pub fn slots_from(&self, index: u32) -> impl Iterator<Item = SlotView> {
        self.slots().in_use_from(index as usize).filter_map(|(slot, state)| self.view(slot, state))
    }

    /// How many places there are for slots.
    pub fn places(&self) -> u32 {
        self.capacity.tags() as u32
    }

    fn view(&self, slot: SlotRef, state: SlotState) -> Option<SlotView> {
        let slots = self.slots();
        let word = |index| slots.body(slot.index, index).map(|word| word.load(Ordering::Relaxed));
        let (owners, dialog) = (word(B_OWNERS)?, word(B_DIALOG)?);
        Some(SlotView {
            slot,
            state,
            epoch: word(B_EPOCH)?,
            trunk_live: (owners >> 32) as u32,
            uid: uid_from_words([word(B_UID)?, word(B_UID + 1)?]),
            dialog: ((dialog >> 32) as u32, dialog as u32),
            start_wall_ms: word(B_START_MS)?,
            ring_wall_ms: word(B_RING_MS)?,
            answer_wall_ms: word(B_ANSWER_MS)?,
            clock: CallClock::from_word(word(B_CLOCK)?),
        })
    }

    /// Slots whose calls nobody will end any more: of an earlier epoch once this one has adopted what it restored,
    /// and those a daemon had marked before it died.
    pub fn orphans(&self) -> Vec<SlotView> {
        let (epoch, restored) = (self.epoch(), self.restored());
        let mut slots = self.slots_in_use();
        slots.retain(|view| {
            let judged = !matches!(view.state, SlotState::Taking | SlotState::Lost);
            let stale = restored && view.epoch != epoch && judged;
            stale || view.state == SlotState::Reclaiming
        });
        slots
    }

    /// Marks a slot for the daemon; `None` when its call ended meanwhile.
    pub fn begin_reclaim(&self, slot: SlotRef) -> Option<Reclaimed> {
        let from = [SlotState::Ringing, SlotState::Answered, SlotState::Ending, SlotState::Reclaiming];
        // `Ending` of this epoch belongs to a worker that is alive; of an earlier one, to nobody.
        let view = self.view(slot, self.slots().state(slot)?)?;
        let from = if view.epoch == self.epoch() { &from[..2] } else { &from[..] };
        let again = view.state == SlotState::Reclaiming;
        let marked = again || self.slots().advance(slot, from, SlotState::Reclaiming);
        crash::point("reclaim.marked");
        marked.then_some(Reclaimed(view))
    }

    /// Marks the slot of a call that was found, in this epoch, to be one that nobody will end any more: its dialog is gone,
    /// or whoever was ending it never came to an end. `None` when the call ended meanwhile, or when Kamailio has started
    /// anew and taken it up again.
    ///
    /// A call whose ending was begun may have been taken out of some counts. It is taken out of none here: counts that are
    /// too large are strict, and a recount sets them right.
    pub fn begin_reclaim_lost(&self, slot: SlotRef, epoch: u64) -> Option<Reclaimed> {
        let view = self.view(slot, self.slots().state(slot)?)?;
        if view.epoch != epoch || self.epoch() != epoch {
            return None;
        }
        if view.state == SlotState::Ending
            && let Some(word) = self.slots().body(slot.index, B_STEP)
        {
            word.store(UNCOUNTED, Ordering::Release);
            crash::point("reclaim.uncountable");
        }
        let from = match view.state {
            SlotState::Ringing | SlotState::Answered => &[SlotState::Ringing, SlotState::Answered][..],
            SlotState::Ending => &[SlotState::Ending],
            _ => return None,
        };
        if !self.slots().advance(slot, from, SlotState::Reclaiming) {
            return None;
        }
        crash::point("reclaim.marked");
        if self.epoch() != epoch {
            // It was taken up in this very moment.
            self.slots().advance(slot, &[SlotState::Reclaiming], view.state);
            return None;
        }
        Some(Reclaimed(view))
    }

    /// Gives up on a slot whose call has been in judgement for ever. `false` when it is not any more. What it may have
    /// taken out of the limits a recount finds. Should its worker go on after all, the call is admitted and counted by the
    /// next recount.
    pub fn give_up(&self, slot: SlotRef) -> bool {
        self.slots().advance(slot, &[SlotState::Taking], SlotState::Lost)
    }

    /// Frees a marked slot. One process at a time: a daemon that follows a dead one takes the call out of the counts
    /// that the other had not come to, and out of no count twice.
    pub fn finish_reclaim(&self, reclaimed: Reclaimed) {
        let slot = reclaimed.0.slot;
        if self.slots().state(slot) != Some(SlotState::Reclaiming) {
            return; // it is freed, or Kamailio has made the file anew
        }
        if self.is_counted(slot) {
            let body = |word| self.slots().body(slot.index, word);
            let (done, noted) = body(B_STEP).map_or((0, 0), |word| {
                let word = word.load(Ordering::Relaxed);
                (word >> 1, word & 1)
            });
            for (step, count) in (1..).zip(self.counts_of(slot)) {
                let Some(count) = count else { continue };
                if step < done || (step == done && count.mark() != noted) {
                    continue;
                }
                if let Some(word) = body(B_STEP) {
                    // Release: what is noted is seen by whoever sees the count changed.
                    word.store(step << 1 | count.mark(), Ordering::Release);
                }
                crash::point("reclaim.noted");
                count.give_noticeably();
                crash::point("reclaim.uncounted");
            }
        }
        self.slots().advance(slot, &[SlotState::Reclaiming], SlotState::Free);
        crash::point("reclaim.freed");
    }

    /// Whether a slot's call is in the counts: it is of this epoch.
    fn is_counted(&self, slot: SlotRef) -> bool {
        self.slots()
            .body(slot.index, B_EPOCH)
            .is_some_and(|word| word.load(Ordering::Relaxed) == self.epoch())
    }

    /// The counts that a slot's call is in.
    fn counts_of(&self, slot: SlotRef) -> [Option<CountWord<'_>>; 3] {
        let owners = self.slots().body(slot.index, B_OWNERS).map_or(0, |word| word.load(Ordering::Relaxed));
        let of = |scope| self.line(scope).map(|line| line.calls());
        let (trunk, account) = (Scope::Trunk((owners >> 32) as u32), Scope::Account(owners as u32));
        [of(trunk), of(account), of(Scope::Node)]
    }

    /// Takes a slot's call out of the counts that it is in: those of its epoch, if that is the present one.
    /// Answers how many counts were already at zero.
    pub(crate) fn give_counts(&self, slot: SlotRef) -> u32 {
        if !self.is_counted(slot) {
            return 0;
        }
        let counts = self.counts_of(slot).into_iter().flatten();
        let underflows = counts.map(|count| u32::from(!count.give()));
        underflows.inspect(|_| crash::point("call.uncounted")).sum()
    }
}

pub(crate) fn uid_to_words(uid: [u8; 16]) -> [u64; 2] {
    let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|index| uid[at + index]));
    [word(0), word(8)]
}

pub(crate) fn uid_from_words(words: [u64; 2]) -> [u8; 16] {
    let mut uid = [0; 16];
    uid[..8].copy_from_slice(&words[0].to_be_bytes());
    uid[8..].copy_from_slice(&words[1].to_be_bytes());
    uid
}
