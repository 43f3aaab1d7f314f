//! Setting the counts right on demand: of every trunk, every account and the node, which is that of the slots in use.
//!
//! Safe to kill at any instant, and to run as often as one likes: what is not corrected is found again, and what is
//! correct is left alone. Must be run by the daemon that takes slots back, and not while it does.

use std::time::Duration;

use super::audit::{Audit, Count};
use super::{CountWord, Live, Scope};
use crate::crash;

/// Between two rounds: a worker that was stopped in the middle of a call gets to finish it.
const PAUSE: Duration = Duration::from_millis(1);

/// What a recount came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recount {
    /// Counts that were compared with the slots.
    pub compared: usize,
    /// Counts that were wrong and are right now, with what each was too large by; below zero if it was too small.
    pub corrected: Vec<(Count, i64)>,
    /// Counts around which calls moved so fast that nothing certain could be said: another recount may.
    pub unsettled: usize,
}

impl Recount {
    /// How many calls were counted too many or too few, over all counts.
    pub fn drift(&self) -> u64 {
        self.corrected.iter().map(|(_, drift)| drift.unsigned_abs()).sum()
    }
}

impl Live {
    /// Compares every count that holds anything with the slots, in up to `rounds` looks at all of them, and corrects
    /// those of which it is certain that they are wrong. Nothing is compared before all dialogs are restored.
    ///
    /// A round passes over all tags, half a millisecond for the default number of slots, and a pause of a millisecond comes
    /// before the next. It holds up nobody but its caller.
    pub fn recount(&self, rounds: u32) -> Recount {
        let epoch = self.epoch();
        if !self.restored() {
            return Recount::default();
        }
        let mut audit = Audit::begin(self.slots(), epoch, |count| self.count_of(count));
        let accounts = (0..self.capacity.accounts).map(Count::Account);
        let trunks = (0..self.capacity.trunks).map(Count::Trunk);
        let mut compared = 0;
        for count in std::iter::once(Count::Node).chain(accounts).chain(trunks) {
            if audit.has(count) || self.count_of(count).is_some_and(|word| word.get() > 0) {
                audit.open(count);
                compared += 1;
            }
        }
        for round in 0..rounds {
            if round > 0 {
                std::thread::sleep(PAUSE);
            }
            audit.round();
            if audit.is_settled() {
                break;
            }
        }
        let (settled, unsettled) = audit.finish();
        let corrected = settled
            .into_iter()
            .filter(|&(_, drift)| drift != 0)
            .filter(|&(count, drift)| {
                let still = || self.epoch() == epoch;
                let corrected = self.count_of(count).is_some_and(|word| word.correct(drift, still));
                crash::point("recount.corrected");
                corrected
            })
            .collect();
        Recount { compared, corrected, unsettled }
    }

    fn count_of(&self, count: Count) -> Option<CountWord<'_>> {
        let line = |scope| self.line(scope).map(|line| line.calls());
        match count {
            Count::Node => line(Scope::Node),
            Count::Account(live) => line(Scope::Account(live)),
            Count::Trunk(live) => line(Scope::Trunk(live)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::layout::Capacity;
    use super::super::slots::{CallKey, Claim, SlotState};
    use super::*;
    use crate::clock::CallClock;

    fn live() -> (tempfile::TempDir, Live) {
        let dir = tempfile::tempdir().expect("a directory");
        let capacity = Capacity { trunks: 4, accounts: 4, gateways: 4, slots: 16, processes: 1 };
        let live = Live::create_or_reopen(dir.path(), capacity).expect("a file");
        live.mark_restored();
        (dir, live)
    }

    #[test]
    fn counts_of_calls_that_are_not_there_go_and_too_small_ones_grow() {
        let (_dir, live) = live();
        let word = |count| live.count_of(count).unwrap();
        (0..3).for_each(|_| word(Count::Trunk(1)).take(None).unwrap());
        word(Count::Account(3)).take(None).unwrap();
        let mut recount = live.recount(5);
        recount.corrected.sort();
        assert_eq!(recount.corrected, [(Count::Account(3), 1), (Count::Trunk(1), 3)]);
        assert_eq!((word(Count::Trunk(1)).get(), word(Count::Account(3)).get()), (0, 0));

        // A call of trunk 1 and no account, of whose counts one was given back too often.
        let Claim::Claimed(slot) = live.slots().claim(CallKey::new([1, 2])) else { panic!() };
        live.fill_with(slot, 1, None, [9; 16], [1, 0, 0], CallClock::default());
        for count in [Count::Trunk(1), Count::Node] {
            word(count).take(None).unwrap();
        }
        live.slots().open(slot, CallKey::new([1, 2]));
        assert!(word(Count::Node).give());
        assert_eq!(live.recount(5).corrected, [(Count::Node, -1)]);
        assert_eq!(word(Count::Node).get(), 1);
    }

    #[test]
    fn a_call_that_is_judged_for_ever_is_given_up_and_what_it_took_comes_back() {
        let (_dir, live) = live();
        let word = |count| live.count_of(count).unwrap();
        let Claim::Claimed(slot) = live.slots().claim(CallKey::new([1, 2])) else { panic!() };
        word(Count::Trunk(1)).take(None).unwrap();
        let recount = live.recount(5);
        assert_eq!((recount.corrected.len(), recount.unsettled), (0, 1), "it may be admitted yet");
        assert!(live.give_up(slot) && !live.give_up(slot));
        assert_eq!(live.recount(5).corrected, [(Count::Trunk(1), 1)]);
        assert_eq!(live.slots_in_use()[0].state, SlotState::Lost);
        assert!(live.orphans().is_empty(), "nobody was told of it");

        // Its worker had only been stopped.
        live.fill_with(slot, 1, None, [9; 16], [1, 0, 0], CallClock::default());
        live.slots().open(slot, CallKey::new([1, 2]));
        let mut recount = live.recount(5);
        recount.corrected.sort();
        assert_eq!(recount.corrected, [Count::Node, Count::Trunk(1)].map(|count| (count, -1)));
        assert!(live.slots().advance(slot, &[SlotState::Ringing], SlotState::Free));
        assert_eq!(live.recount(5).drift(), 2);

        let Claim::Claimed(slot) = live.slots().claim(CallKey::new([1, 2])) else { panic!() };
        assert!(live.give_up(slot));
        live.begin_epoch();
        assert_eq!(live.slots_in_use(), [], "the next start frees it");
    }
}
