//! Rounds: every kind places the same number of calls, one kind after another, again and again, each round beginning with
//! another one.
//!
//! It must never count a run in which a call failed, nor let one kind's deliveries run into the next one's turn.

use std::time::Duration;

use anyhow::{Context, Result};

use super::figures::{self, Spread};
use super::kinds::Kind;
use super::world::{Size, World};
use super::{load, process};
use crate::{kamailio, wait};

/// Events that each complete call tells its receiver: initiated, answered, hangup.
const EVENTS: usize = 3;

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Processor time of all the proxy's processes for one complete call, in microseconds.
    pub proxy_us: f64,
    /// That of trunkd, webhooks included; `None` where it has no part.
    pub daemon_us: Option<f64>,
    /// INVITE to 100 in milliseconds: median, 99th percentile.
    pub trying: (f64, f64),
    /// INVITE to 180.
    pub ringing: (f64, f64),
}

/// All runs of one kind.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which.
    pub kind: Kind,
    /// One for each round; `None` for one that was not good.
    pub samples: Vec<Option<Sample>>,
    /// Why it was not.
    pub void: Vec<String>,
    /// Resident memory of the proxy when all calls are up, in MiB.
    pub memory_mib: f64,
}

impl Measured {
    /// Median and spread of something over the rounds.
    #[must_use]
    pub fn spread(&self, of: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.iter().flatten().map(of))
    }
}

/// All kinds in one world.
#[derive(Clone, Debug)]
pub struct Table {
    /// How large the world was.
    pub size: Size,
    /// In the order of the table.
    pub rows: Vec<Measured>,
    /// Resident memory of trunkd, in MiB.
    pub daemon_mib: f64,
    /// Why the stock modules are missing, if they are.
    pub refused: Option<String>,
    /// Call records that acc has written, and calls that it should have.
    pub records: (u64, u64),
}

impl Table {
    /// Of two kinds: the ratio of their processor times, round by round.
    #[must_use]
    pub fn ratio(&self, ours: Kind, theirs: Kind) -> Option<Spread> {
        let row = |kind| self.rows.iter().find(|row| row.kind == kind);
        let (ours, theirs) = (row(ours)?, row(theirs)?);
        let pairs = ours.samples.iter().zip(&theirs.samples);
        Spread::of(
            pairs.filter_map(|(ours, theirs)| Some(ours.as_ref()?.proxy_us / theirs.as_ref()?.proxy_us)),
        )
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds.
    pub rounds: usize,
    /// Calls of a kind in a round.
    pub calls: u32,
    /// Calls per second.
    pub rate: u32,
}

/// Measures all kinds.
///
/// # Errors
/// Something other than a call fails.
pub fn measure(world: &World, effort: Effort) -> Result<Table> {
    let kinds: Vec<Kind> = world.kinds().collect();
    let empty =
        |kind: &Kind| Measured { kind: *kind, samples: Vec::new(), void: Vec::new(), memory_mib: 0.0 };
    let mut rows: Vec<Measured> = kinds.iter().map(empty).collect();
    // Once for nothing: caches, connections, memory that is touched for the first time.
    for (number, kind) in kinds.iter().enumerate() {
        let warm = Effort { calls: effort.calls.min(200), ..effort };
        if let Err(error) = run(world, *kind, &format!("warm-{number}"), warm) {
            rows[number].void.push(format!("warming up: {error:#}"));
            rest(world)?;
        }
    }
    let records = records(world)?;
    let mut stock_calls = 0;
    for round in 0..effort.rounds {
        for step in 0..kinds.len() {
            let number = (round + step) % kinds.len();
            match run(world, kinds[number], &format!("run-{round}-{number}"), effort) {
                Ok(sample) => {
                    rows[number].samples.push(Some(sample));
                    let is_stock = matches!(kinds[number], Kind::StockAddress | Kind::StockDigest);
                    stock_calls += if is_stock { u64::from(effort.calls) } else { 0 };
                }
                Err(error) => {
                    rows[number].samples.push(None);
                    rows[number].void.push(format!("{error:#}"));
                    rest(world)?;
                }
            }
        }
    }
    for row in &mut rows {
        row.memory_mib = process::memory_mib(world.proxy(row.kind).child.pid())?;
    }
    let daemon = world.stack.trunkd.as_ref().context("trunkd")?.child.pid();
    let daemon_mib = process::memory_mib(daemon)?;
    let records = (self::records(world)? - records, stock_calls);
    Ok(Table { size: world.size, rows, daemon_mib, refused: world.refused.clone(), records })
}

/// Rows that acc has written; it does so before it passes the answer to the BYE on.
fn records(world: &World) -> Result<u64> {
    let rows = kamailio::ask_database(&world.database, "SELECT count(*) FROM acc_cdrs")?;
    rows.parse().with_context(|| format!("a count: {rows}"))
}

fn run(world: &World, kind: Kind, name: &str, effort: Effort) -> Result<Sample> {
    let proxy = world.proxy(kind).child.pid();
    let daemon = world.stack.trunkd.as_ref().context("trunkd")?.child.pid();
    let plan = world.plan(name.to_owned(), kind, effort.calls, effort.rate);
    let before = (process::processor_time(proxy)?, process::processor_time(daemon)?);
    let child = load::start(world.stack.dir(), &plan)?;
    let delays = load::finish(world.stack.dir(), &plan, child)?;
    let each =
        |used: Duration, before: Duration| (used - before).as_secs_f64() * 1e6 / f64::from(effort.calls);
    // At the same moment for all: when the last call has ended.
    let proxy_us = each(process::processor_time(proxy)?, before.0);
    if kind.is_trunkline() {
        told(world, effort)?;
    }
    Ok(Sample {
        proxy_us,
        daemon_us: kind
            .is_trunkline()
            .then(|| process::processor_time(daemon))
            .transpose()?
            .map(|used| each(used, before.1)),
        trying: figures::middle_and_tail(&delays.trying)?,
        ringing: figures::middle_and_tail(&delays.ringing)?,
    })
}

/// After a run that failed: waits until nothing of it is left to be told, and forgets what was.
fn rest(world: &World) -> Result<()> {
    let site = &world.stack.site;
    wait::until_within(Duration::from_secs(120), "what is left of a void run", || {
        let left = site.metric("trunkline_ring_waiting")? + site.metric("trunkline_outbox_pending")?;
        Ok((left == 0.0).then_some(()))
    })?;
    world.receiver.forget();
    Ok(())
}

/// Waits until the receiver has heard of the calls of a run, and forgets them.
pub(super) fn told(world: &World, effort: Effort) -> Result<()> {
    let all = EVENTS * effort.calls as usize;
    wait::until_within(Duration::from_secs(120), &format!("{all} webhooks"), || {
        Ok((world.receiver.count() >= all).then_some(()))
    })?;
    world.receiver.forget();
    Ok(())
}
