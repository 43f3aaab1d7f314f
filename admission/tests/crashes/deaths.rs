//! Processes that die where they are told, and the note of where any has.

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Mutex, PoisonError};

use trunk_admission::crash::{POINTS, VARIABLE};

use crate::harness::Process;

static DIED_AT: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
/// SIGABRT.
const ABORTED: i32 = 6;
/// No protocol has so many steps of one name.
const MOST_HITS: u64 = 5_000;

/// What a process said before it ended.
pub(crate) struct Life {
    /// Its lines.
    pub(crate) said: Vec<String>,
    /// Whether it died at the point; else it ended well without having come to it so often.
    pub(crate) died: bool,
}

/// Runs a role that is to die at a hit of a point.
pub(crate) fn live(role: &str, arguments: &[&dyn fmt::Display], point: &'static str, hit: u64) -> Life {
    assert!(POINTS.contains(&point), "{point} is no point");
    let mut process = Process::start(role, arguments, &[(VARIABLE, &format!("{point}:{hit}"))]);
    let said = std::iter::from_fn(|| process.hear()).collect();
    let status = process.finish();
    let died = status.signal() == Some(ABORTED);
    assert!(died || status.success(), "{role} at {point}:{hit}: {status}");
    if died {
        DIED_AT.lock().unwrap_or_else(PoisonError::into_inner).insert(point);
    }
    Life { said, died }
}

/// Calls `judge` with hit 1, 2, 3 … of a point until the process lives: it answers whether it died.
pub(crate) fn at_every_hit(point: &'static str, mut judge: impl FnMut(u64) -> bool) -> u64 {
    for hit in 1..MOST_HITS {
        if !judge(hit) {
            assert!(hit > 1, "{point} was never come to");
            return hit - 1;
        }
    }
    panic!("{point}: more than {MOST_HITS} hits");
}

/// After all other tests of this binary: the list of points and the points died at are the same.
pub(crate) fn every_point_was_died_at() -> String {
    let died_at = DIED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    let missed: Vec<_> = POINTS.iter().filter(|point| !died_at.contains(*point)).collect();
    assert!(
        missed.is_empty(),
        "nobody died at {missed:?}; this test judges a run of all tests of its binary"
    );
    format!("{} points", POINTS.len())
}
