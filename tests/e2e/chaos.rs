//! The checker of `make chaos` is checked itself: whatever is broken on purpose, it must find.

use anyhow::{Result, ensure};
use e2e::chaos::sabotage::{self, Sabotage};

/// The checker finds one of these promises broken, whatever else it finds.
fn finds(sabotage: Sabotage, promises: &[&str]) {
    let run = || -> Result<()> {
        let findings = sabotage::findings(Some(sabotage))?;
        let told: Vec<String> = findings.0.iter().map(ToString::to_string).collect();
        ensure!(
            findings.0.iter().any(|found| promises.contains(&found.promise)),
            "{sabotage:?} was told as {told:#?}"
        );
        Ok(())
    };
    if let Err(error) = run() {
        panic!("{error:?}");
    }
}

#[test]
fn a_round_in_which_nothing_is_broken_is_not_accused() {
    let found = sabotage::findings(None).map(|findings| findings.0);
    assert!(found.as_ref().is_ok_and(Vec::is_empty), "{found:?}");
}

#[test]
fn a_release_that_is_skipped_is_found() {
    finds(Sabotage::SkippedRelease, &["counts are right"]);
}

#[test]
fn an_event_that_is_dropped_is_found() {
    finds(Sabotage::DroppedEvent, &["each call ends once", "no event is lost"]);
}

#[test]
fn a_write_that_is_torn_is_found() {
    // The module says so itself: it has refused the table.
    finds(Sabotage::TornWrite, &["nothing breaks inside"]);
}
