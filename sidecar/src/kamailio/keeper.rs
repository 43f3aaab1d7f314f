//! Keeps what Kamailio holds in its memory as the tables in the database are: the only caller of its reloads.
//!
//! One at a time, coalesced, never two within Kamailio's `reload_delta` and a second, and none while the rows are the same.
//! After each, what it holds is read back and compared; a mismatch is an alarm, and is tried again, ever less often. Nobody
//! waits for this: not a call, not a write, not the image.

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
use crate::domain::Millis;
use crate::metrics::Metrics;
use crate::status::{Status, TableStatus};
use crate::store::{Answer, Store, StoreError};

/// How long a change waits for others to come with it.
const COALESCE: Duration = Duration::from_millis(100);
/// How often Kamailio is looked at when nothing changes: it may have been restarted, or somebody else may have told it to
/// reload.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What the time between two reloads grows to while changes keep coming, in units of the least.
const MOST_SPACINGS: u32 = 4;
/// And while reloads fail.
const SLOWEST_RETRY: Duration = Duration::from_secs(60);

/// States of a table, as they are shown.
const LOADED: &str = "loaded";
const WAITING: &str = "waiting";
const DIFFERS: &str = "differs";
const UNKNOWN: &str = "unknown";

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
    pub client: Client,
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

/// What happened to one table.
enum Outcome {
    Good,
    /// It was changed again while Kamailio read it: not known yet, no reason for alarm.
    Moved,
    /// It holds something else.
    Bad(String),
    /// Nobody could say.
    Unknown(String),
}

impl From<RpcError> for Outcome {
    fn from(error: RpcError) -> Outcome {
        match error {
            RpcError::Refused { .. } | RpcError::Garbled { .. } => Outcome::Bad(error.to_string()),
            RpcError::Absent { .. } | RpcError::Silent { .. } | RpcError::Socket { .. } => {
                Outcome::Unknown(error.to_string())
            }
        }
    }
}

impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Outcome {
        Outcome::Unknown(error.to_string())
    }
}

impl Keeper {
    /// Takes the tables for unknown until they were looked at.
    pub fn new(deps: Deps) -> Keeper {
        let gap = deps.spacing;
        Keeper {
            deps,
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
                    self.tell(table, UNKNOWN, &written, Some(error.to_string()));
                }
                Instant::now() + self.deps.look_every
            }
            Ok(stale) if stale.is_empty() => {
                (self.busy, self.gap) = (false, self.deps.spacing);
                Instant::now() + self.deps.look_every
            }
            Ok(stale) if Instant::now() < self.not_before => {
                stale.into_iter().for_each(|table| self.wait(table, &written));
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
                Ok(Verdict::Same { .. }) => self.tell(table, LOADED, written, None),
                Ok(Verdict::Other) => stale.push(table),
                Ok(Verdict::Damaged(damage)) => {
                    tracing::error!(table = table.name(), damage, "Kamailio holds other rows than the table");
                    stale.push(table);
                }
                Err(error @ (RpcError::Absent { .. } | RpcError::Socket { .. })) => return Err(error),
                Err(error) => self.tell(table, UNKNOWN, written, Some(error.to_string())),
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
            let word = match outcome {
                Outcome::Good => {
                    tracing::info!(table = table.name(), revision = now.revision, "Kamailio has reloaded");
                    self.tell(table, LOADED, &now, None);
                    "good"
                }
                Outcome::Moved => {
                    moved = true;
                    self.tell(table, WAITING, &now, None);
                    "moved"
                }
                Outcome::Bad(problem) => {
                    failed = true;
                    tracing::error!(
                        table = table.name(),
                        problem,
                        "Kamailio does not hold what the table holds"
                    );
                    self.tell(table, DIFFERS, &now, Some(problem));
                    "bad"
                }
                Outcome::Unknown(problem) => {
                    failed = true;
                    tracing::warn!(table = table.name(), problem, "what Kamailio holds is not known");
                    self.tell(table, UNKNOWN, &now, Some(problem));
                    "unknown"
                }
            };
            self.deps.metrics.kamailio_reloads.with_label_values(&[table.name(), word]).inc();
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
    async fn reload_one(&mut self, table: Table, before: &Written) -> Result<(Outcome, Written), Outcome> {
        let client = &self.deps.client;
        let held = match table {
            Table::Dispatcher => self.reader.list(client, &before.load, false).await?,
            Table::Address => None,
        };
        let states = States::of(&held.unwrap_or_default());
        client.reload(table).await?;
        let after = self.deps.source.written().await?;
        if !states.is_empty()
            && let Some(held) = self.reader.list(client, &after.load, false).await?
        {
            let restored = states.restore(client, &held).await?;
            tracing::info!(restored, "gateways that Kamailio had found dead stay so");
        }
        let outcome = match self.reader.compare(client, table, &after.load).await? {
            Verdict::Same { .. } => Outcome::Good,
            Verdict::Damaged(damage) => Outcome::Bad(damage),
            Verdict::Other if mark(table, &before.load) != mark(table, &after.load) => Outcome::Moved,
            Verdict::Other => {
                Outcome::Bad("it says that it has reloaded, and holds another table".to_owned())
            }
        };
        Ok((outcome, after))
    }

    /// A change waits until Kamailio may reload again. What was an alarm stays one.
    fn wait(&self, table: Table, written: &Written) {
        let known = self.deps.status.get().kamailio;
        if known.iter().any(|known| known.table == table.name() && known.state == LOADED) {
            self.tell(table, WAITING, written, None);
        }
    }

    fn store_trouble(&self, error: &StoreError) -> Instant {
        tracing::error!(%error, "cannot tell what Kamailio's tables should hold");
        self.deps.metrics.store_errors.with_label_values(&["kamailio"]).inc();
        Instant::now() + self.deps.look_every
    }

    /// Shows how a table is: in the status, and as an alarm when it is not what it should be.
    fn tell(&self, table: Table, state: &'static str, written: &Written, problem: Option<String>) {
        let now_ms: Millis = self.deps.clock.now_ms();
        let current = i64::from(state == LOADED);
        let bad = i64::from(state == DIFFERS);
        self.deps.metrics.kamailio_current.with_label_values(&[table.name()]).set(current);
        self.deps.metrics.kamailio_differs.with_label_values(&[table.name()]).set(bad);
        self.deps.status.update(|status| {
            let loaded = status.kamailio.iter().find(|known| known.table == table.name());
            let loaded = loaded.and_then(|known| known.loaded_revision);
            let loaded_revision = if current == 1 { Some(written.revision) } else { loaded };
            let at = crate::call::payload::rfc3339(now_ms);
            let new = TableStatus { table: table.name(), state, loaded_revision, checked_at: at, problem };
            status.kamailio.retain(|known| known.table != table.name());
            status.kamailio.push(new);
        });
    }
}

fn mark(table: Table, load: &Load) -> String {
    match table {
        Table::Address => load.address_mark(),
        Table::Dispatcher => load.destination_mark(),
    }
}
