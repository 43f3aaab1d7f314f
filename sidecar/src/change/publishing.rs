//! The task that puts stored revisions in force: all that were committed meanwhile in one go.
//!
//! What cannot be published is tried again, whole, until it can. Must never publish an older state after a newer one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trunk_admission::publish::Published;

use super::{Deps, Progress};
use crate::crash;
use crate::difference::{Line, Verb};
use crate::metrics::Metrics;
use crate::publish::{self, Capacity, Handle};
use crate::status::Status;
use crate::store::{Committed, Store, StoreError};

/// How soon a publish that failed is tried again.
pub const PUBLISH_AGAIN: Duration = Duration::from_secs(5);
/// Most revisions that are published in one go.
const MAX_REVISIONS: usize = 4_096;

/// Why a stored revision is not in force.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read back.
    #[error("reading the configuration: {0}")]
    Store(#[from] StoreError),
    /// There is nothing to publish.
    #[error("nothing was configured yet")]
    Empty,
    /// It could not be published.
    #[error("publishing the configuration: {0}")]
    Publish(#[from] publish::Error),
}

/// The task.
pub struct Publishing {
    store: Arc<dyn Store>,
    publish: Handle,
    capacity: Capacity,
    metrics: Metrics,
    status: Arc<Status>,
    committed: mpsc::UnboundedReceiver<Committed>,
    progress: watch::Sender<Progress>,
    /// When all that is stored is to be published, because an attempt has failed.
    again_at: Option<Instant>,
}

impl Publishing {
    /// `committed` is what the writer has stored, in order; `progress` tells how far it is in force.
    pub(super) fn new(
        deps: Deps,
        committed: mpsc::UnboundedReceiver<Committed>,
        progress: watch::Sender<Progress>,
    ) -> Publishing {
        let Deps { store, publish, capacity, metrics, status, .. } = deps;
        Publishing { store, publish, capacity, metrics, status, committed, progress, again_at: None }
    }

    /// Publishes what is committed, as it comes, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let again = self.again_at;
            tokio::select! {
                () = stop.cancelled() => return,
                count = self.committed.recv_many(&mut batch, MAX_REVISIONS) => {
                    if count == 0 {
                        return;
                    }
                    self.take(std::mem::take(&mut batch)).await;
                }
                () = at(again) => {
                    let newest = self.progress.borrow().failed.as_ref().map_or(0, |(revision, _)| *revision);
                    let published = self.all().await;
                    self.conclude(newest, &published);
                }
            }
        }
    }

    /// Puts everything that is stored in force: the first configuration of a process.
    ///
    /// # Errors
    /// If it cannot be read or published.
    pub async fn start(&mut self) -> Result<(), Error> {
        let published = self.all().await;
        self.conclude(0, &published);
        published.map(drop)
    }

    async fn take(&mut self, batch: Vec<Committed>) {
        let newest = batch.iter().map(|committed| committed.revision).max().unwrap_or(0);
        let in_force = self.progress.borrow().published;
        if newest <= in_force {
            return;
        }
        if self.again_at.is_some() {
            // The next attempt will have all of it. To try at every write would read everything back at every write.
            self.progress.send_modify(|progress| {
                progress.failed.iter_mut().for_each(|(revision, _)| *revision = newest);
            });
            return;
        }
        crash::point("publishing.taken");
        let batch = batch.into_iter().filter(|committed| committed.revision > in_force);
        let published = self.some(newest, batch).await;
        self.conclude(newest, &published);
    }

    /// Publishes all that is stored, and answers its revision.
    async fn all(&mut self) -> Result<i64, Error> {
        let table = self.store.table(self.capacity).await?.ok_or(Error::Empty)?;
        let (revision, accounts) = (table.revision.cast_signed(), table.accounts.len());
        let published = self.publish.publish(table).await?;
        self.metrics.accounts.set(i64::try_from(accounts).unwrap_or(i64::MAX));
        self.count(revision, &published);
        Ok(revision)
    }

    /// Publishes what these commits changed. If that fails, nobody knows any more what is missing: all will be published.
    async fn some(&mut self, newest: i64, batch: impl Iterator<Item = Committed>) -> Result<i64, Error> {
        let (mut effects, mut reused, mut accounts) = (Vec::new(), Vec::new(), 0);
        for committed in batch {
            accounts += committed.lines.iter().map(more_accounts).sum::<i64>();
            effects.extend(committed.effects);
            reused.extend(committed.reused);
        }
        let published = self.publish.apply(newest, effects, reused).await?;
        crash::point("publishing.applied");
        self.metrics.accounts.add(accounts);
        self.count(newest, &published);
        Ok(newest)
    }

    fn count(&self, revision: i64, published: &Published) {
        self.metrics.generation.set(i64::from(published.generation));
        self.metrics.revision.set(revision);
        self.metrics.trunks.set(i64::try_from(published.trunks).unwrap_or(i64::MAX));
        tracing::debug!(revision, generation = published.generation, "published");
    }

    /// Tells how an attempt ended that was to put `newest` in force.
    fn conclude(&mut self, newest: i64, published: &Result<i64, Error>) {
        match published {
            Ok(revision) => {
                self.again_at = None;
                self.status.update(|state| {
                    state.publish_error = None;
                    state.stored_revision = state.stored_revision.max(Some(*revision));
                });
                let before = self.progress.send_replace(Progress { published: *revision, failed: None });
                if before.failed.is_some() {
                    tracing::info!(revision, "publishing works again; the stored configuration is in force");
                }
            }
            Err(error) => {
                self.again_at = Some(Instant::now() + PUBLISH_AGAIN);
                self.metrics.publish_failures.inc();
                self.status.update(|state| state.publish_error = Some(error.to_string()));
                tracing::error!(revision = newest, "{error}; trying again in {} s", PUBLISH_AGAIN.as_secs());
                self.progress.send_modify(|progress| progress.failed = Some((newest, error.to_string())));
            }
        }
    }
}

/// Comes at a time, if there is one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn more_accounts(line: &Line) -> i64 {
    match line.verb {
        Verb::Added if line.kind == "account" => 1,
        Verb::Removed if line.kind == "account" => -1,
        _ => 0,
    }
}
