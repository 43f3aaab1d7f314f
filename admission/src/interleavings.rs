//! Every interleaving of every protocol, explored by loom: small models of the code that runs in production.
//!
//! Each model must pass; and for each named ordering there must be a model that fails when it alone is weakened.
//! Run by `make proof`. What loom cannot show (a load that overtakes an earlier load of another thread's later store)
//! is argued in `docs/shared-memory.md` instead.

mod handover;
mod recount;
mod slots;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use loom::sync::Arc;
use loom::thread;

use crate::control::Pair;
use crate::events::ring::{CELL_WORDS, Cell, Progress, Ring};
use crate::live::CountWord;
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
    ("twins", slots::twins),
    ("twins apart", slots::twins_apart),
    ("twins that looked ahead", slots::twins_ahead),
    ("twins apart that looked ahead", slots::twins_apart_ahead),
    ("last slot", slots::last_slot),
    ("one ending", slots::one_ending),
    ("reuse", slots::reuse),
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
    (Site::TagClaim, slots::last_slot),
    (Site::TwinFence, slots::twins_apart),
    (Site::TwinFence, slots::twins_apart_ahead),
    (Site::TwinFence, slots::reuse),
    (Site::TagStore, slots::twins),
    (Site::TagLoad, slots::twins),
    (Site::TagSwap, slots::one_ending),
    (Site::KeyLoadFence, slots::reuse),
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
