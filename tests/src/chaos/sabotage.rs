//! Deliberate damage, so that the checker itself is checked: a release that is skipped, an event that is dropped, a write that is
//! torn. A checker that finds nothing then is worth nothing.
//!
//! It must never be part of a run that is meant to be good.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::check::Findings;
use super::ground::Ground;
use super::plan::{Batch, Fault, Round, Sort};
use super::play;
use crate::artifacts;
use crate::kamailio::Options;

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The module (built to panic on request) never hears how a call ended, so it releases nothing.
    SkippedRelease,
    /// One event is lost on its way: taken for delivered, and seen by nobody.
    DroppedEvent,
    /// The middle of the table in force is overwritten with noughts, as a write that tore would leave it.
    TornWrite,
}

/// Calls without any fault, and the sabotage, if any: what the checker says.
///
/// # Errors
/// The round could not be played.
pub fn findings(sabotage: Option<Sabotage>) -> Result<Findings> {
    let mut options = Options::new()?;
    if sabotage == Some(Sabotage::SkippedRelease) {
        options.module = artifacts::panicking_module()?;
        options.panic_at = Some("dialog_event".to_owned());
    }
    let mut ground = Ground::start(options)?;
    let batch = Batch { sort: Sort::Answered, calls: 20, rate: 20, talk_ms: 500 };
    let faults = match sabotage {
        None | Some(Sabotage::SkippedRelease) => Vec::new(),
        Some(Sabotage::DroppedEvent) => vec![(Duration::from_millis(500), Fault::DropEvent)],
        Some(Sabotage::TornWrite) => vec![(Duration::ZERO, Fault::TearTable)],
    };
    Ok(play::round(&mut ground, 0, &Round { seed: 0, batches: vec![batch], faults })?.findings)
}

/// Overwrites everything behind the first page of the newest table.
///
/// # Errors
/// There is none.
pub fn tear_table(ground: &Ground) -> Result<()> {
    let mut newest = None;
    for entry in fs::read_dir(&ground.stack.places.shm)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let Some(number) = name.strip_prefix("table-").and_then(|number| number.parse::<u64>().ok()) else {
            continue;
        };
        newest = newest.max(Some((number, path)));
    }
    let (_, path) = newest.context("no table")?;
    let length = fs::metadata(&path)?.len();
    if length <= 64 {
        bail!("{} has {length} bytes", path.display());
    }
    let file = fs::File::options().write(true).open(&path)?;
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![0; usize::try_from(length - 64)?], 64)?;
    Ok(())
}
