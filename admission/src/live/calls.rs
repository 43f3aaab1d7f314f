//! A call's slot from admission to ending: what is written into its body, and the two steps of its end.
//!
//! Ending is claim, report, free: exactly one caller claims, and a process that dies before it frees leaves a slot that
//! the daemon finds. So an ending may be reported twice after a death, never not at all, and never twice without one.

use super::layout::*;
use super::sweep::{uid_from_words, uid_to_words};
use super::{CallKey, Live, Scope, SlotRef, SlotState};
use crate::clock::{CallClock, Now};
use crate::crash;
use crate::image::TrunkRef;
use crate::live::slots::Claim;
use crate::sync::{AtomicU64, Ordering};

/// Where and when a call was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// [`Live::file`]; 0 when nobody knows.
    pub file: u64,
    /// The epoch.
    pub epoch: u64,
}

/// What a slot says about its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallView {
    /// The slot.
    pub slot: SlotRef,
    /// The call's own id.
    pub uid: [u8; 16],
    /// `live` index of its trunk.
    pub trunk_live: u32,
    /// `live` index of the trunk's account.
    pub account_live: Option<u32>,
    /// When it was admitted, in milliseconds since 1970.
    pub start_wall_ms: u64,
    /// When it first rang, or 0.
    pub ring_wall_ms: u64,
    /// When it was answered, or 0.
    pub answer_wall_ms: u64,
    /// The clock that these times are from, and that goes on while the slot lives.
    pub clock: CallClock,
    /// `live` index of the last gateway tried.
    pub gateway_live: u32,
    /// Gateways tried.
    pub attempts: u8,
}

/// A call whose ending is the caller's to report; freed by [`Live::finish_end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Ending(pub CallView);

impl Live {
    fn set(&self, slot: SlotRef, word: usize, value: u64) {
        if let Some(body) = self.body(slot) {
            body[word].store(value, Ordering::Relaxed);
        }
    }

    #[inline]
    fn body(&self, slot: SlotRef) -> Option<&[AtomicU64; BODY_WORDS]> {
        self.slots().whole_body(slot.index)
    }

    fn get(&self, slot: SlotRef, word: usize) -> u64 {
        self.body(slot).map_or(0, |body| body[word].load(Ordering::Relaxed))
    }

    /// Writes the body of a slot that the caller has claimed.
    #[inline]
    pub(crate) fn fill(&self, slot: SlotRef, key: CallKey, trunk: &TrunkRef, uid: [u8; 16], now: Now) {
        self.slots().write_key(slot, key);
        let clock = CallClock::begin(now);
        self.fill_with(slot, trunk.live(), trunk.account(), uid, [now.wall_ms, 0, 0], clock);
    }

    #[inline]
    pub(super) fn fill_with(
        &self,
        slot: SlotRef,
        trunk: u32,
        account: Option<u32>,
        uid: [u8; 16],
        times: [u64; 3],
        clock: CallClock,
    ) {
        let owners = u64::from(trunk) << 32 | u64::from(account.unwrap_or(u32::MAX));
        let [high, low] = uid_to_words(uid);
        let body = [
            (B_OWNERS, owners),
            (B_EPOCH, self.epoch()),
            (B_UID, high),
            (B_UID + 1, low),
            (B_START_MS, times[0]),
            (B_RING_MS, times[1]),
            (B_ANSWER_MS, times[2]),
            (B_DIALOG, 0),
            (B_TRIED, 0),
            (B_GATEWAY, u64::MAX << 32),
            (B_GATEWAY_SUM, 0),
            (B_STEP, 0),
            (B_CLOCK, clock.word()),
        ];
        let Some(words) = self.slots().whole_body(slot.index) else { return };
        for (word, value) in body {
            words[word].store(value, Ordering::Relaxed);
            crash::point("slot.filled");
        }
    }

    pub(crate) fn uid(&self, slot: SlotRef) -> [u8; 16] {
        uid_from_words([self.get(slot, B_UID), self.get(slot, B_UID + 1)])
    }

    /// The call of a slot, if the slot is still in this use and carries one.
    pub fn call(&self, slot: SlotRef) -> Option<CallView> {
        let owners = self.get(slot, B_OWNERS);
        let gateway = self.get(slot, B_GATEWAY);
        let view = CallView {
            slot,
            uid: self.uid(slot),
            trunk_live: (owners >> 32) as u32,
            account_live: Some(owners as u32).filter(|&live| live != u32::MAX),
            start_wall_ms: self.get(slot, B_START_MS),
            ring_wall_ms: self.get(slot, B_RING_MS),
            answer_wall_ms: self.get(slot, B_ANSWER_MS),
            clock: self.clock_of(slot),
            gateway_live: (gateway >> 32) as u32,
            attempts: gateway as u8,
        };
        matches!(self.slots().state(slot)?, SlotState::Ringing | SlotState::Answered | SlotState::Ending)
            .then_some(view)
    }

    /// The clock of a slot's call.
    pub(crate) fn clock_of(&self, slot: SlotRef) -> CallClock {
        CallClock::from_word(self.get(slot, B_CLOCK))
    }

    /// The far side rings: the first time counts. Times are by the call's clock.
    pub(crate) fn ringing(&self, slot: SlotRef, wall_ms: u64) {
        if self.slots().state(slot) == Some(SlotState::Ringing) && self.get(slot, B_RING_MS) == 0 {
            self.set(slot, B_RING_MS, wall_ms);
        }
    }

    /// The call was answered; `false` when that was known or the call is over. The time is there before the state says
    /// so: whoever ends the call, or finds it after a death, knows since when it was up.
    pub(crate) fn answered(&self, slot: SlotRef, wall_ms: u64) -> bool {
        if self.slots().state(slot) != Some(SlotState::Ringing) {
            return false;
        }
        if let Some(word) = self.slots().body(slot.index, B_ANSWER_MS) {
            // Of two workers that hear of an answer the first one's time stays.
            let _ = word.compare_exchange(0, wall_ms, Ordering::Relaxed, Ordering::Relaxed);
        }
        crash::point("call.answer-time");
        let first = self.slots().advance(slot, &[SlotState::Ringing], SlotState::Answered);
        crash::point("call.answered");
        first
    }

    /// Ties the slot to Kamailio's dialog.
    pub(crate) fn bind_dialog(&self, slot: SlotRef, entry: u32, id: u32) {
        if self.call(slot).is_some() {
            self.set(slot, B_DIALOG, u64::from(entry) << 32 | u64::from(id));
            crash::point("call.bound");
        }
    }

    /// Claims the ending of a call; exactly one caller gets it.
    pub(crate) fn begin_end(&self, slot: SlotRef) -> Option<Ending> {
        let view = self.call(slot)?;
        let from = [SlotState::Ringing, SlotState::Answered];
        self.slots().advance(slot, &from, SlotState::Ending).then_some(Ending(view))
    }

    /// Frees the slot of a call whose ending is reported. Answers how many counts were at zero already: a defect.
    pub(crate) fn finish_end(&self, ending: Ending) -> u32 {
        let underflows = self.give_counts(ending.0.slot);
        self.slots().advance(ending.0.slot, &[SlotState::Ending], SlotState::Free);
        crash::point("end.freed");
        underflows
    }

    /// The slot that a call of before has still.
    fn kept(&self, call: &CallView, key: CallKey) -> Option<SlotRef> {
        let is_this = |slot: &SlotRef| self.call(*slot).is_some_and(|kept| kept.uid == call.uid);
        // A start that died may have given it another slot, and not saved which; and it may have been ending there.
        let found = Some(call.slot).filter(is_this).or_else(|| self.slots().ending(key).find(is_this));
        found.or_else(|| match self.slots().look(key).known {
            Some(Claim::Again(slot)) => Some(slot).filter(is_this),
            _ => None,
        })
    }

    /// Whether a call that was saved in this file, in an earlier epoch, has ended since: then it has no slot here any more. A file
    /// that was made anew has no slots of before and says nothing.
    pub(crate) fn has_ended(&self, call: &CallView, key: CallKey, saved: Origin) -> bool {
        let here = self.origin();
        let of_before = saved.file != 0 && saved.file == here.file && saved.epoch < here.epoch;
        of_before && self.kept(call, key).is_none()
    }

    /// This file in this epoch, to be saved with a call.
    pub fn origin(&self) -> Origin {
        Origin { file: self.file(), epoch: self.epoch() }
    }

    /// Takes a restored call into this epoch, over any limit: its slot as it was before, or a new one.
    pub(crate) fn adopt(&self, call: &CallView, key: CallKey, now: Now) -> Option<SlotRef> {
        let (slot, kept) = match self.kept(call, key) {
            Some(slot) => (slot, true),
            None => match self.slots().claim(key) {
                Claim::Claimed(slot) => {
                    let times = [call.start_wall_ms, call.ring_wall_ms, call.answer_wall_ms];
                    self.slots().write_key(slot, key);
                    self.fill_with(
                        slot,
                        call.trunk_live,
                        call.account_live,
                        call.uid,
                        times,
                        goes_on(call, now),
                    );
                    (slot, false)
                }
                _ => return None,
            },
        };
        if kept && self.get(slot, B_EPOCH) == self.epoch() {
            return Some(slot);
        }
        let scopes =
            [Some(Scope::Trunk(call.trunk_live)), call.account_live.map(Scope::Account), Some(Scope::Node)];
        for line in scopes.into_iter().flatten().filter_map(|scope| self.line(scope)) {
            let _ = line.calls().take(None);
            line.count_undone();
            crash::point("adopt.counted");
        }
        if kept && self.clock_of(slot).at(now) < latest(call) {
            // The machine was started anew, and its monotonic clock with it.
            self.set(slot, B_CLOCK, goes_on(call, now).word());
        }
        self.set(slot, B_EPOCH, self.epoch());
        crash::point("adopt.epoch");
        if kept {
            // Whoever was ending it is dead, and its dialog lives: it ends once more.
            let answered = self.get(slot, B_ANSWER_MS) != 0;
            let state = if answered { SlotState::Answered } else { SlotState::Ringing };
            self.slots().advance(slot, &[SlotState::Ending], state);
        } else {
            let gateway = u64::from(call.gateway_live) << 32 | u64::from(call.attempts);
            self.set(slot, B_GATEWAY, gateway);
            crash::point("adopt.gateway");
            let state = if call.answer_wall_ms == 0 { SlotState::Ringing } else { SlotState::Answered };
            self.slots().advance(slot, &[SlotState::Taking], state);
            crash::point("adopt.published");
        }
        Some(slot)
    }

    /// The gateways a call has tried: one bit for each position in the list with this sum. A list that changed
    /// meanwhile starts anew, without the gateway tried last.
    #[inline]
    pub(crate) fn tried(&self, slot: SlotRef, list_sum: u32) -> (u64, Option<u32>) {
        let Some(body) = self.body(slot) else { return (0, None) };
        let last = (body[B_GATEWAY].load(Ordering::Relaxed) >> 32) as u32;
        let last = Some(last).filter(|&live| live != u32::MAX);
        if body[B_GATEWAY_SUM].load(Ordering::Relaxed) == u64::from(list_sum) {
            (body[B_TRIED].load(Ordering::Relaxed), None)
        } else {
            (0, last)
        }
    }

    /// How many gateways a call has tried.
    pub(crate) fn attempts(&self, slot: SlotRef) -> u8 {
        self.get(slot, B_GATEWAY) as u8
    }

    /// Notes a gateway as tried, after so many `before` it; answers how many it makes.
    #[inline]
    pub(crate) fn note_tried(
        &self,
        slot: SlotRef,
        list_sum: u32,
        tried: u64,
        gateway_live: u32,
        before: u8,
    ) -> u8 {
        let attempts = before.saturating_add(1);
        let Some(body) = self.body(slot) else { return attempts };
        body[B_TRIED].store(tried, Ordering::Relaxed);
        body[B_GATEWAY_SUM].store(u64::from(list_sum), Ordering::Relaxed);
        body[B_GATEWAY].store(u64::from(gateway_live) << 32 | u64::from(attempts), Ordering::Relaxed);
        attempts
    }
}

/// The last that is known of a restored call.
fn latest(call: &CallView) -> u64 {
    call.start_wall_ms.max(call.ring_wall_ms).max(call.answer_wall_ms)
}

/// A clock for a restored call that has lost its own: the machine's, but the call does not go back before its own past.
fn goes_on(call: &CallView, now: Now) -> CallClock {
    CallClock::begin(Now { wall_ms: now.wall_ms.max(latest(call)), ..now })
}
