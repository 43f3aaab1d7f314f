//! Every interleaving of every protocol, explored by loom: small models of the code that runs in production.
//!
//! Each model must pass; and for each named ordering there must be a model that fails when it alone is weakened.
//! Run by `make proof`. What loom cannot show (a load that overtakes an earlier load of another thread's later store)
//! is argued in `docs/shared-memory.md` instead.

mod handover;
mod recount;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use loom::sync::Arc;
use loom::thread;

use crate::control::Pair;
use crate::events::ring::{CELL_WORDS, Cell, Progress, Ring};
use crate::live::CountWord;
use crate::live::slots::{CallKey, Claim, SlotState, Slots, WINDOW};
use crate::rate::{Rate, RateWord};
use crate::sync::{AtomicU64, Ordering, Site, set_weakened};

/// One model at a time: the weakened site is shared by the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cells(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// A reader that sees a generation sees all of its image.
fn generation_switch() {
    loom::model(|| {
        let shared = Arc::new((AtomicU64::new(0), cells(2)));
        let publisher = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.iter().for_each(|word| word.store(7, Ordering::Relaxed));
                Pair::new(1, 0).store(&shared.0);
            })
        };
        if Pair::load(&shared.0) == Pair::new(1, 0) {
            assert!(shared.1.iter().all(|word| word.load(Ordering::Relaxed) == 7), "half an image");
        }
        publisher.join().unwrap();
    });
}

/// Three takers of a burst of two: two pass, and the word says so.
fn rate_word() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let rate = Rate::per_second(1.0, Some(2)).unwrap();
        let take = move |word: &AtomicU64| u32::from(RateWord(word).take(rate, 5_000_000_000).is_ok());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let word = Arc::clone(&word);
                thread::spawn(move || take(&word))
            })
            .collect();
        let mut passed = take(&word);
        passed += others.into_iter().map(|other| other.join().unwrap()).sum::<u32>();
        assert_eq!(passed, 2);
        assert_eq!(word.load(Ordering::Relaxed), 7_000_000_000);
    });
}

/// A limit of one, two takers who give back what they got: never two at once, and nothing left.
fn count_word() {
    loom::model(|| {
        let word = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let call = |word: &(AtomicU64, AtomicU64)| {
            if CountWord(&word.0).take(Some(1)).is_ok() {
                assert_eq!(word.1.fetch_add(1, Ordering::Relaxed), 0, "two calls under a limit of one");
                word.1.fetch_sub(1, Ordering::Relaxed);
                assert!(CountWord(&word.0).give());
            }
        };
        let other = {
            let word = Arc::clone(&word);
            thread::spawn(move || call(&word))
        };
        call(&word);
        other.join().unwrap();
        assert_eq!(CountWord(&word.0).get(), 0);
    });
}

struct Table {
    tags: Vec<AtomicU64>,
    bodies: Vec<AtomicU64>,
}

impl Table {
    fn new(tags: usize) -> Table {
        Table { tags: cells(tags), bodies: cells(tags * 16) }
    }

    fn slots(&self) -> Slots<'_> {
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

const KEY: CallKey = CallKey::new([1, 2 << 32]);
/// Another call with the same fingerprint.
const TWIN_PRINT: CallKey = CallKey::new([3, 2 << 32]);

/// How a call is judged.
type Admit = fn(&Table, CallKey) -> bool;

/// Two copies of one INVITE: never two slots.
fn twins() {
    twins_by(Table::admit);
}

fn twins_ahead() {
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
fn twins_apart() {
    twins_apart_by(Table::admit);
}

fn twins_apart_ahead() {
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
fn last_slot() {
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
fn one_ending() {
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
fn reuse() {
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

struct Memory {
    head: AtomicU64,
    tail: AtomicU64,
    cells: Vec<AtomicU64>,
}

impl Memory {
    fn ring(&self) -> Ring<'_> {
        Ring { head: &self.head, tail: &self.tail, cells: &self.cells }
    }

    fn push(&self, value: u64) -> bool {
        let Some(position) = self.ring().reserve() else { return false };
        let mut cell = self.ring().fill(position);
        cell.words([value]);
        cell.words([value]);
        cell.commit();
        true
    }
}

/// Two producers and a consumer on a ring of two: what is read is whole, and nothing is read twice or lost.
fn ring() {
    loom::model(|| {
        let memory = Arc::new(Memory {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            cells: cells(2 * CELL_WORDS),
        });
        let other = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || memory.push(5))
        };
        let mut progress = Progress::default();
        let mut seen = Vec::new();
        let mut poll = |seen: &mut Vec<u64>| {
            let polled: Vec<_> = progress.poll(&memory.ring(), 0, 9).collect();
            for (_, cell) in &polled {
                match cell {
                    Cell::Payload(words) => {
                        assert!(words.len() == 2 && words[0] == words[1], "a torn record");
                        seen.push(words[0]);
                    }
                    other => panic!("{other:?}"),
                }
            }
            progress.acknowledge(&memory.ring(), polled.into_iter().map(|(position, _)| position));
        };
        assert!(memory.push(6));
        poll(&mut seen);
        assert!(other.join().unwrap());
        poll(&mut seen);
        seen.sort_unstable();
        assert_eq!(seen, [5, 6]);
    });
}

const MODELS: [(&str, fn()); 15] = [
    ("generation switch", generation_switch),
    ("rate word", rate_word),
    ("count word", count_word),
    ("twins", twins),
    ("twins apart", twins_apart),
    ("twins that looked ahead", twins_ahead),
    ("twins apart that looked ahead", twins_apart_ahead),
    ("last slot", last_slot),
    ("one ending", one_ending),
    ("reuse", reuse),
    ("ring", ring),
    ("recount, a call coming", recount::coming),
    ("recount, a call going", recount::going),
    ("recount, a call passing", recount::passing),
    ("handing over", handover::numbers),
];

#[test]
fn every_protocol_holds_in_every_interleaving() {
    let _alone = alone();
    for (name, model) in MODELS {
        println!("{name}");
        model();
    }
}

/// Which model must notice which weakening.
const MUTATIONS: [(Site, fn()); 17] = [
    (Site::PairStore, generation_switch),
    (Site::PairLoad, generation_switch),
    (Site::RateSwap, rate_word),
    (Site::CountSwap, count_word),
    (Site::TagClaim, last_slot),
    (Site::TwinFence, twins_apart),
    (Site::TwinFence, twins_apart_ahead),
    (Site::TwinFence, reuse),
    (Site::TagStore, twins),
    (Site::TagLoad, twins),
    (Site::TagSwap, one_ending),
    (Site::KeyLoadFence, reuse),
    (Site::HeadSwap, ring),
    (Site::CommitStore, ring),
    (Site::CommitLoad, ring),
    (Site::CountLoad, recount::coming),
    (Site::PutSwap, handover::numbers),
];

#[test]
fn every_named_ordering_is_needed() {
    let _alone = alone();
    let unnoticed: Vec<Site> = MUTATIONS
        .into_iter()
        .filter(|&(site, model)| {
            set_weakened(Some(site));
            let passed = catch_unwind(AssertUnwindSafe(model)).is_ok();
            set_weakened(None);
            println!("{site:?}: {}", if passed { "NOT noticed" } else { "noticed" });
            passed
        })
        .map(|(site, _)| site)
        .collect();
    assert!(unnoticed.is_empty(), "no model fails without {unnoticed:?}");
}
