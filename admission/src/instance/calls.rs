//! What happens to an admitted call until it ends, and what is told of it.
//!
//! Must never free a slot before its ending is told.

use super::Instance;
use crate::clock::Now;
use crate::crash;
use crate::decide::Admission;
use crate::events::{EventOut, Pushed};
use crate::live::process::Counter;
use crate::live::{CallKey, CallView, Ending, Origin, SlotRef};

impl Instance {
    /// The call of a slot, while the slot carries it.
    pub fn call(&self, slot: SlotRef) -> Option<CallView> {
        self.live.call(slot)
    }

    /// The time of a call, by its own clock.
    pub fn time_of(&self, slot: SlotRef, now: Now) -> u64 {
        self.live.clock_of(slot).at(now)
    }

    /// The far side rings.
    pub fn ringing(&self, slot: SlotRef, wall_ms: u64) {
        self.live.ringing(slot, wall_ms);
    }

    /// The call is answered; `true` for the first who says so.
    pub fn answered(&self, slot: SlotRef, wall_ms: u64) -> bool {
        self.live.answered(slot, wall_ms)
    }

    /// Ties a call to Kamailio's dialog.
    pub fn bind_dialog(&self, slot: SlotRef, entry: u32, id: u32) {
        self.live.bind_dialog(slot, entry, id);
    }

    /// Whether a call whose dialog Kamailio restored has ended before: the row should have been deleted, and was not.
    pub fn has_ended(&self, call: &CallView, key: CallKey, saved: Origin) -> bool {
        self.live.has_ended(call, key, saved)
    }

    /// Takes a call whose dialog Kamailio restored into this epoch.
    pub fn adopt(&self, call: &CallView, key: CallKey) -> Option<SlotRef> {
        self.live.adopt(call, key, Now::read())
    }

    /// Every restored dialog has been adopted: what is left of earlier epochs is orphaned.
    pub fn mark_restored(&self) {
        self.live.mark_restored();
    }

    /// Ends a call: claims it, reports its ending, frees its slot. `false` when somebody else did.
    ///
    /// `report` gets the call and pushes its event before the slot is freed: whoever dies in between leaves a slot that
    /// the daemon finds.
    pub fn end(&self, slot: SlotRef, report: impl FnOnce(&CallView)) -> bool {
        let Some(ending) = self.live.begin_end(slot) else { return false };
        let Ending(view) = ending;
        crash::point("end.claimed");
        report(&view);
        crash::point("end.reported");
        for _ in 0..self.live.finish_end(ending) {
            self.live.count(self.process, Counter::Underflows);
        }
        self.live.count(self.process, Counter::Ended);
        true
    }

    /// Puts an event on the ring.
    #[inline]
    pub fn push(&self, event: &EventOut<'_>) -> Pushed {
        let pushed = self.events.push(event);
        if pushed == Pushed::Full {
            self.live.count(self.process, Counter::EventsDropped);
        }
        pushed
    }

    /// The slot of an admission that is still in its first use: for scripts that lost it.
    pub fn admission(&self, slot: SlotRef) -> Option<Admission> {
        self.live.call(slot).map(|call| Admission { slot, uid: call.uid })
    }
}
