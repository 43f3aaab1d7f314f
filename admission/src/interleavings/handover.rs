//! Two hand a number over while a third takes: what was accepted is taken once, what was not is not.

use loom::sync::Arc;
use loom::thread;

use super::cells;
use crate::handover::Handover;
use crate::sync::AtomicU64;

struct Shared {
    words: Vec<AtomicU64>,
    hint: AtomicU64,
}

impl Shared {
    fn handover(&self) -> Handover<'_> {
        Handover::new(&self.words, &self.hint)
    }

    fn taken(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        self.handover().take(|number| numbers.push(number));
        numbers
    }
}

pub(super) fn numbers() {
    loom::model(|| {
        let shared = Arc::new(Shared { words: cells(2), hint: AtomicU64::new(0) });
        // One lies there already: the second to come has to look further, or is given back.
        assert!(shared.handover().put(3));
        let givers: Vec<_> = [4, 5]
            .into_iter()
            .map(|number| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.handover().put(number).then_some(number))
            })
            .collect();
        let mut taken = shared.taken();
        let mut given = vec![3];
        given.extend(givers.into_iter().filter_map(|giver| giver.join().unwrap()));
        taken.extend(shared.taken());
        taken.sort_unstable();
        given.sort_unstable();
        assert_eq!(taken, given);
    });
}
