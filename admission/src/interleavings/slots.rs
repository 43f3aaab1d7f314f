//! Call slots: two copies of one INVITE, the last slot, two endings of one call, a slot that is used again.

use loom::sync::Arc;
use loom::thread;

use super::cells;
use crate::live::slots::{CallKey, Claim, SlotState, Slots, WINDOW};
use crate::sync::AtomicU64;

pub(super) struct Table {
    pub(super) tags: Vec<AtomicU64>,
    pub(super) bodies: Vec<AtomicU64>,
}

impl Table {
    pub(super) fn new(tags: usize) -> Table {
        Table { tags: cells(tags), bodies: cells(tags * 16) }
    }

    pub(super) fn slots(&self) -> Slots<'_> {
        Slots::new(&self.tags, &self.bodies)
    }

    /// Judges a call: `true` when this caller admitted it.
    fn admit(&self, key: CallKey) -> bool {
        self.finish(self.slots().claim(key), key)
    }

    /// The same as a decision does it: its look for a place is old when it claims it.
    fn admit_ahead(&self, key: CallKey) -> bool {
        let slots = self.slots();
        let place = slots.look_ahead(key);
        self.finish(place.map_or_else(|| slots.claim(key), |place| slots.claim_at(key, place)), key)
    }

    fn finish(&self, claim: Claim, key: CallKey) -> bool {
        match claim {
            Claim::Claimed(slot) => {
                self.slots().write_key(slot, key);
                self.slots().open(slot, key);
                true
            }
            _ => false,
        }
    }
}

pub(super) const KEY: CallKey = CallKey::new([1, 2 << 32]);
/// Another call with the same fingerprint.
const TWIN_PRINT: CallKey = CallKey::new([3, 2 << 32]);

/// How a call is judged.
type Admit = fn(&Table, CallKey) -> bool;

/// Two copies of one INVITE: never two slots.
pub(super) fn twins() {
    twins_by(Table::admit);
}

pub(super) fn twins_ahead() {
    twins_by(Table::admit_ahead);
}

fn twins_by(admit: Admit) {
    loom::model(move || {
        let table = Arc::new(Table::new(WINDOW));
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || admit(&table, KEY))
        };
        let here = admit(&table, KEY);
        assert!(!(here & other.join().unwrap()), "one call was admitted twice");
    });
}

/// The same, when another call's end lets the second copy into an earlier place than the first.
pub(super) fn twins_apart() {
    twins_apart_by(Table::admit);
}

pub(super) fn twins_apart_ahead() {
    twins_apart_by(Table::admit_ahead);
}

fn twins_apart_by(admit: Admit) {
    loom::model(move || {
        let table = Arc::new(Table::new(WINDOW));
        let Claim::Claimed(before) = table.slots().claim(CallKey::new([9, 9 << 32])) else { panic!() };
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.slots().abandon(before);
                admit(&table, KEY)
            })
        };
        let here = admit(&table, KEY);
        assert!(!(here & other.join().unwrap()), "one call was admitted twice");
    });
}

/// Two calls and one free slot: never both in it.
pub(super) fn last_slot() {
    loom::model(|| {
        let table = Arc::new(Table::new(WINDOW));
        let taken = table.slots().claim(CallKey::new([9, 9 << 32]));
        assert!(matches!(taken, Claim::Claimed(_)));
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.slots().claim(CallKey::new([4, 4 << 32])))
        };
        let here = table.slots().claim(CallKey::new([5, 5 << 32]));
        let there = other.join().unwrap();
        if let (Claim::Claimed(here), Claim::Claimed(there)) = (here, there) {
            panic!("{here:?} and {there:?} are one slot");
        }
    });
}

/// A call is ended by a BYE and by a sweep at once: one of them ends it.
pub(super) fn one_ending() {
    loom::model(|| {
        let table = Arc::new(Table::new(WINDOW));
        let Claim::Claimed(slot) = table.slots().claim(KEY) else { panic!() };
        table.slots().advance(slot, &[SlotState::Taking], SlotState::Ringing);
        let end = move |table: &Table, to| {
            table.slots().advance(slot, &[SlotState::Ringing, SlotState::Answered], to)
        };
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || end(&table, SlotState::Reclaiming))
        };
        let here = end(&table, SlotState::Ending);
        assert!(here ^ other.join().unwrap(), "one call has one ending");
    });
}

/// A slot is freed and taken by another call while somebody looks for that call: never found in the old use.
pub(super) fn reuse() {
    loom::model(|| {
        let table = Arc::new(Table::new(WINDOW));
        // The other place of the window is full, so the next call takes the slot of the first.
        let Claim::Claimed(first) = table.slots().claim(KEY) else { panic!() };
        table.slots().advance(first, &[SlotState::Taking], SlotState::Ringing);
        assert!(matches!(table.slots().claim(CallKey::new([9, 9 << 32])), Claim::Claimed(_)));
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.slots().advance(first, &[SlotState::Ringing], SlotState::Free);
                table.admit(TWIN_PRINT)
            })
        };
        if let Some(Claim::Again(found)) = table.slots().look(TWIN_PRINT).known {
            assert_ne!(found, first, "a call was found in another call's use of a slot");
        }
        other.join().unwrap();
    });
}
