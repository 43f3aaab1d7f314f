//! Writes attempts down: all that came meanwhile in one transaction.
//!
//! A store that is full or held by somebody else is waited for: an attempt that were forgotten would be made again. Must
//! never answer before the rows are on the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::store::{AttemptRecord, Outbox, StoreError};

/// Most attempts in one transaction, and most that wait for the next one.
const BATCH: usize = 256;
/// How long to gather after a write: a few attempts at a time would cost a transaction each.
const GATHER: Duration = Duration::from_millis(5);
/// How long to keep away from a store that failed.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);

struct Entry {
    attempt: AttemptRecord,
    written: oneshot::Sender<bool>,
}

/// The way to the task that writes.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(mpsc::Sender<Entry>);

impl Recorder {
    /// Starts the task. It ends when nobody can record any more.
    pub(super) fn start(outbox: Arc<dyn Outbox>, metrics: Metrics, stop: CancellationToken) -> Recorder {
        let (sender, queue) = mpsc::channel(BATCH);
        tokio::spawn(work(queue, outbox, metrics, stop));
        Recorder(sender)
    }

    /// Whether the attempt is on the disk.
    pub(super) async fn record(&self, attempt: AttemptRecord) -> bool {
        let (written, answer) = oneshot::channel();
        self.0.send(Entry { attempt, written }).await.is_ok() && answer.await.unwrap_or(false)
    }
}

async fn work(
    mut queue: mpsc::Receiver<Entry>,
    outbox: Arc<dyn Outbox>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut entries = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut entries, BATCH).await > 0 {
        let attempts: Vec<_> = entries.iter().map(|entry| entry.attempt.clone()).collect();
        let few = attempts.len() < BATCH;
        let good = write(attempts, &*outbox, &metrics, &stop).await;
        for entry in entries.drain(..) {
            // Whoever does not wait any more has been stopped.
            let _ = entry.written.send(good);
        }
        if few {
            tokio::time::sleep(GATHER).await;
        }
    }
}

/// Writes for as long as there is hope: space returns, a lock is let go.
async fn write(
    attempts: Vec<AttemptRecord>,
    outbox: &dyn Outbox,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> bool {
    loop {
        let error = match outbox.record(attempts.clone()).await {
            Ok(()) => return true,
            Err(error) => error,
        };
        metrics.store_errors.with_label_values(&["outbox"]).inc();
        let hope = matches!(error, StoreError::Busy | StoreError::Full | StoreError::Io(_));
        tracing::error!(%error, attempts = attempts.len(), "cannot write down webhook attempts");
        if !hope || stop.is_cancelled() {
            return false;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(STORE_PAUSE) => {}
        }
    }
}
