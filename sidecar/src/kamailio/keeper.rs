//! Keeps what Kamailio holds in its memory as the tables in the database are: the only caller of its reloads.
//!
//! One at a time, coalesced, never two within Kamailio's `reload_delta` and a second, and none while the rows are the same.
//! After each, what it holds is read back and compared; a mismatch is an alarm, and is tried again, ever less often. Nobody
//! waits for this: not a call, not a write, not the image.

mod report;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::commands::Table;
use super::health::States;
use super::mark::{Kind, Load, Written};
use super::readback::{Reader, Verdict};
use super::rpc::{Client, RpcError};
use crate::clock::Clock;
use crate::crash;
use crate::metrics::Metrics;
use crate::status::Status;
use crate::store::{Answer, Store, StoreError};
use report::{Report, State};

/// How long a change waits for others to come with it.
const COALESCE: Duration = Duration::from_millis(100);
/// How often Kamailio is looked at when nothing changes: it may have been restarted, or somebody else may have told it to
/// reload.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What the time between two reloads grows to while changes keep coming, in units of the least.
const MOST_SPACINGS: u32 = 4;
/// And while reloads fail.
const SLOWEST_RETRY: Duration = Duration::from_secs(60);

/// Where it is known what the tables in the database hold.
pub trait Source: Send + Sync + 'static {
    /// What the tables hold now.
    fn written(&self) -> Answer<'_, Written>;
}

impl Source for Arc<dyn Store> {
    fn written(&self) -> Answer<'_, Written> {
        self.kamailio()
    }
}

/// What the keeper needs.
pub struct Deps {
    /// Asks Kamailio.
    pub client: Arc<Client>,
    /// Which tables it has loaded.
    pub tables: Vec<Table>,
    /// Least time between two reloads.
    pub spacing: Duration,
    /// Time between two looks: [`LOOK_EVERY`], less in tests.
    pub look_every: Duration,
    /// What it should hold.
    pub source: Arc<dyn Source>,
    /// Moves with every revision.
    pub changed: watch::Receiver<i64>,
    /// Tells the time of day.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: Metrics,
    /// What the API shows.
    pub status: Arc<Status>,
}

/// See the module's text.
pub struct Keeper {
    deps: Deps,
    report: Report,
    reader: Reader,
    /// Which Kamailio it was that answered last.
    started: Option<String>,
    /// No reload before this.
    not_before: Instant,
    /// Time between two reloads now.
    gap: Duration,
    /// Whether the last round had to reload.
    busy: bool,
}

impl Keeper {
    /// Takes the tables for unknown until they were looked at.
    pub fn new(deps: Deps) -> Keeper {
        let gap = deps.spacing;
        let report = Report {
            clock: Arc::clone(&deps.clock),
            metrics: deps.metrics.clone(),
            status: Arc::clone(&deps.status),
        };
        Keeper {
            deps,
            report,
            reader: Reader::default(),
            started: None,
            not_before: Instant::now(),
            gap,
            busy: false,
        }
    }

    /// Looks and reloads until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.deps.changed.changed() => match changed {
                    Ok(()) => due = due.min((Instant::now() + COALESCE).max(self.not_before)),
                    Err(_) => return stop.cancelled().await,
                },
                () = sleep_until(due) => due = tokio::select! {
                    () = stop.cancelled() => return,
                    due = self.round() => due,
                },
            }
        }
    }

    /// Looks, and reloads what is not as it should be. When to look again.
    async fn round(&mut self) -> Instant {
        let written = match self.deps.source.written().await {
            Ok(written) => written,
            Err(error) => return self.store_trouble(&error),
        };
        for kind in Kind::ALL {
            let rows = i64::try_from(written.load.of(kind).rows).unwrap_or(i64::MAX);
            self.deps.metrics.kamailio_rows.with_label_values(&[kind.word()]).set(rows);
        }
        match self.stale(&written).await {
            Err(error) => {
                for table in self.deps.tables.clone() {
                    self.report.tell(table, State::Unknown(error.to_string()), &written);
                }
                Instant::now() + self.deps.look_every
            }
            Ok(stale) if stale.is_empty() => {
                (self.busy, self.gap) = (false, self.deps.spacing);
                Instant::now() + self.deps.look_every
            }
            Ok(stale) if Instant::now() < self.not_before => {
                stale.into_iter().for_each(|table| self.report.wait(table, &written));
                self.not_before
            }
            Ok(stale) => self.reload(stale, &written).await,
        }
    }

    /// Which tables Kamailio holds differently.
    async fn stale(&mut self, written: &Written) -> Result<Vec<Table>, RpcError> {
        let started = self.deps.client.started().await?;
        if self.started.as_ref() != Some(&started) {
            if self.started.is_some() {
                tracing::info!(started, "Kamailio was restarted; comparing its tables");
            }
            (self.reader, self.started) = (Reader::default(), Some(started));
        }
        let mut stale = Vec::new();
        for table in self.deps.tables.clone() {
            match self.reader.compare(&self.deps.client, table, &written.load).await {
                Ok(Verdict::Same { .. }) => self.report.tell(table, State::Loaded, written),
                Ok(Verdict::Other) => stale.push(table),
                Ok(Verdict::Damaged(damage)) => {
                    tracing::error!(table = table.name(), damage, "Kamailio holds other rows than the table");
                    stale.push(table);
                }
                Err(error @ (RpcError::Absent { .. } | RpcError::Socket { .. })) => return Err(error),
                Err(error) => self.report.tell(table, State::Unknown(error.to_string()), written),
            }
        }
        Ok(stale)
    }

    async fn reload(&mut self, stale: Vec<Table>, written: &Written) -> Instant {
        let (mut failed, mut moved) = (false, false);
        for table in stale {
            let (outcome, now) = match self.reload_one(table, written).await {
                Ok((outcome, after)) => (outcome, after),
                Err(outcome) => (outcome, *written),
            };
            match &outcome {
                State::Loaded => {}
                State::Waiting => moved = true,
                State::Differs(_) | State::Unknown(_) => failed = true,
            }
            self.report.reloaded(table, outcome, &now);
        }
        let spacing = self.deps.spacing;
        self.gap = match (failed, self.busy) {
            (true, _) => (self.gap * 2).min(SLOWEST_RETRY.max(spacing)),
            (false, true) => (self.gap * 2).min(spacing * MOST_SPACINGS),
            (false, false) => spacing,
        };
        self.busy = true;
        self.not_before = Instant::now() + self.gap;
        if failed || moved { self.not_before } else { Instant::now() + self.gap.max(self.deps.look_every) }
    }

    /// Reloads a table and reads it back: the outcome, and what the tables held then.
    async fn reload_one(&mut self, table: Table, before: &Written) -> Result<(State, Written), State> {
        let client = &self.deps.client;
        let held = match table {
            Table::Dispatcher => self.reader.list(client, &before.load, false).await?,
            Table::Address => None,
        };
        let states = States::of(&held.unwrap_or_default());
        crash::point("kamailio.reload");
        client.reload(table).await?;
        crash::point("kamailio.reloaded");
        let after = self.deps.source.written().await?;
        if !states.is_empty()
            && let Some(held) = self.reader.list(client, &after.load, false).await?
        {
            let restored = states.restore(client, &held).await?;
            tracing::info!(restored, "gateways that Kamailio had found dead stay so");
        }
        let outcome = match self.reader.compare(client, table, &after.load).await? {
            Verdict::Same { .. } => State::Loaded,
            Verdict::Damaged(damage) => State::Differs(damage),
            // It was changed again while Kamailio read it: not known yet, no reason for alarm.
            Verdict::Other if mark(table, &before.load) != mark(table, &after.load) => State::Waiting,
            Verdict::Other => {
                State::Differs("it says that it has reloaded, and holds another table".to_owned())
            }
        };
        Ok((outcome, after))
    }

    fn store_trouble(&self, error: &StoreError) -> Instant {
        tracing::error!(%error, "cannot tell what Kamailio's tables should hold");
        self.deps.metrics.store_errors.with_label_values(&["kamailio"]).inc();
        Instant::now() + self.deps.look_every
    }
}

fn mark(table: Table, load: &Load) -> String {
    match table {
        Table::Address => load.address_mark(),
        Table::Dispatcher => load.destination_mark(),
    }
}
