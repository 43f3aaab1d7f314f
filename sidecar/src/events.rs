//! From the ring to the store: polls, writes a batch down, then tells the ring. Sweeps up after a Kamailio that died.
//!
//! The ring moves on only after the transaction is on the disk, so a kill between any two steps costs at most doing one
//! batch again, which the store recognises. A store that fails stops the ring's reading, never Kamailio.

mod lookout;
mod record;
mod recount;
mod source;
mod sweep;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trunk_admission::events::Record;

use crate::call::Report;
use crate::clock::Clock;
use crate::crash;
use crate::metrics::Metrics;
use crate::status::Status;
use crate::store::{Batch, CallRecord, Store, StoreError, Written};
use crate::webhook::Wakes;
pub use lookout::{LOOK_EVERY, Lookout, Lost, Why};
use source::Source;
use sweep::{Means, Sweep};

/// Most records written in one transaction.
const BATCH: usize = 512;
/// How long to wait when the ring is empty, or was nearly. The module cannot wake us without a system call on its side.
const IDLE: Duration = Duration::from_millis(10);
/// How long to wait for Kamailio to make the ring.
const ABSENT: Duration = Duration::from_millis(200);
/// How long to keep away from a store that failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long the ring is emptied after the stop, if calls go on all the while.
const FINAL_DRAIN: Duration = Duration::from_secs(2);
/// How often the module's numbers are read.
const LOOK: Duration = Duration::from_secs(1);

/// What the task needs.
pub struct Deps {
    /// Directory in shared memory.
    pub dir: PathBuf,
    /// Where to write.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Whom to tell that there is something to be sent.
    pub wakes: Wakes,
    /// Counts.
    pub metrics: Metrics,
    /// Whether the module is there.
    pub status: Arc<Status>,
}

/// The task.
pub struct Ingest {
    deps: Deps,
    source: Source,
    sweep: Sweep,
    looked: Option<Instant>,
    /// When nothing was left to be written.
    emptied: Instant,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many records were written; there may be more.
    Wrote(usize),
    /// The ring is empty.
    Empty,
    /// There is no ring yet.
    Absent,
    /// The store failed; what the ring holds stays there.
    StoreFailed,
}

impl Ingest {
    /// A task over a directory in which Kamailio may not have started yet. From `lost` come slots that nobody goes on with,
    /// as [`Lookout`] finds them.
    pub fn new(deps: Deps, lost: mpsc::Receiver<Vec<Lost>>) -> Ingest {
        let source = Source::new(deps.dir.clone());
        deps.status.update(|state| state.module = source.state());
        let sweep = Sweep::new(deps.dir.clone(), lost);
        Ingest { deps, source, sweep, looked: None, emptied: Instant::now() }
    }

    /// Runs until `stop`, then empties the ring.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.step().await {
                // A few at a time cost a transaction each: what comes in the next moment is written with them. But now and then
                // the ring has to be found empty.
                Step::Wrote(records) if records < BATCH && self.emptied.elapsed() < LOOK => IDLE,
                Step::Wrote(_) => continue,
                Step::Empty => IDLE,
                Step::Absent => ABSENT,
                Step::StoreFailed => STORE_PAUSE,
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        // A store that fails now will find the same records at the next start, and so will one that cannot keep up.
        let until = Instant::now() + FINAL_DRAIN;
        while matches!(self.step().await, Step::Wrote(_)) && Instant::now() < until {}
    }

    /// Writes one batch, and sweeps when the ring is empty: what it held may be the end of a call.
    pub async fn step(&mut self) -> Step {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        let polled = self.source.poll(BATCH);
        if due {
            self.looked = Some(Instant::now());
            self.look();
        }
        let Some((ring_id, records)) = polled else { return Step::Absent };
        if records.is_empty() {
            self.emptied = Instant::now();
            // Only now may another ring take this one's place: nothing is left in it.
            self.source.follow();
            if let Err(error) = self.sweep(Instant::now()).await {
                return self.failed("sweep", &error);
            }
            return Step::Empty;
        }
        crash::point("ingest.read");
        match self.write(ring_id, &records).await {
            Ok(()) => {
                crash::point("ingest.committed");
                self.source.acknowledge(&records);
                crash::point("ingest.acknowledged");
                self.deps.status.update(|state| state.store_error = None);
                Step::Wrote(records.len())
            }
            Err(error) => self.failed("ingest", &error),
        }
    }

    async fn write(&mut self, ring_id: u64, records: &[Record]) -> Result<(), StoreError> {
        let now_ms = self.deps.clock.now_ms();
        let mut batch = Batch { ring_id, last_sequence: 0, records: Vec::new() };
        for record in records {
            batch.last_sequence = batch.last_sequence.max(record.sequence);
            match &record.event {
                Ok(event) => batch.records.push(record::read(event)),
                Err(fault) => {
                    tracing::warn!(sequence = record.sequence, %fault, "a record of the ring is skipped");
                    self.deps.metrics.events_malformed.with_label_values(&[record::fault_word(*fault)]).inc();
                }
            }
        }
        // A call that began by another clock than the present one would look late or early by as much; its beginning is young.
        let begun = |record: &&CallRecord| matches!(record.report, Report::Initiated(_));
        let delays: Vec<_> = batch.records.iter().filter(begun).map(|record| now_ms - record.at_ms).collect();
        let kinds: Vec<_> = batch.records.iter().map(record_words).collect();
        let written = self.deps.store.ingest(batch, now_ms).await?;
        for delay in delays {
            self.deps.metrics.event_delay.observe(delay.max(0) as f64 / 1000.0);
        }
        for (kind, reason) in kinds {
            self.deps.metrics.events.with_label_values(&[kind]).inc();
            if let Some(reason) = reason {
                self.deps.metrics.calls.with_label_values(&[reason]).inc();
            }
        }
        self.tell(&written);
        Ok(())
    }

    async fn sweep(&mut self, now: Instant) -> Result<(), StoreError> {
        let Deps { store, clock, metrics, .. } = &self.deps;
        let means = Means { store: &**store, clock: &**clock, metrics };
        let written = self.sweep.run(&means, now).await?;
        self.deps.metrics.reconciled.inc_by(written.events as u64);
        self.tell(&written);
        Ok(())
    }

    fn tell(&self, written: &Written) {
        self.deps.wakes.wake(&written.endpoints);
    }

    fn failed(&self, task: &str, error: &StoreError) -> Step {
        self.deps.metrics.store_errors.with_label_values(&[task]).inc();
        tracing::error!(%error, task, "the store failed; the ring keeps what it holds");
        self.deps.status.update(|state| state.store_error = Some(error.to_string()));
        Step::StoreFailed
    }

    /// Reads the module's numbers.
    fn look(&mut self) {
        let metrics = &self.deps.metrics;
        if let Some(numbers) = self.source.numbers() {
            metrics.ring_cells.set(numbers.cells.cast_signed());
            metrics.ring_waiting.set(numbers.waiting.cast_signed());
            metrics.ring_dropped.set(numbers.dropped.cast_signed());
            metrics.ring_lost.set(numbers.lost.cast_signed());
            metrics.ring_repaired.set(numbers.repaired.cast_signed());
        }
        let live = self.sweep.live();
        metrics.module_attached.set(i64::from(live.is_some() && self.source.numbers().is_some()));
        if let Some(live) = live {
            let totals = live.counters();
            metrics.live_calls.set(i64::from(live.node_calls()));
            metrics.module_panics.set(totals.panics.cast_signed());
            metrics.module_underflows.set(totals.underflows.cast_signed());
            metrics.images_refused.set(totals.images_refused.cast_signed());
        }
        let module = self.source.state();
        self.deps.status.update(|state| state.module = module);
    }
}

/// The words that a record is counted under: its event, and the reason if it was an attempt.
fn record_words(record: &CallRecord) -> (&'static str, Option<&'static str>) {
    let reason = match &record.report {
        Report::Initiated(initiated) => Some(initiated.reason.map_or("admitted", |reason| reason.name())),
        Report::Answered { .. } | Report::Ended(_) => None,
    };
    (record.report.event().name(), reason)
}
