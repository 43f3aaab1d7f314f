//! Forgets what is old enough: calls that have ended, and events that nobody is owed any more.
//!
//! In small transactions, each of which waits its turn behind whatever else is to be written. Must never forget a call that
//! is up, nor an event that is still to be delivered.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::Millis;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};

/// How often the old are looked for.
const EVERY: Duration = Duration::from_secs(60);
/// Rows of one transaction: some ten milliseconds.
const BATCH: u32 = 200;
/// Between two transactions, so that others get most of the disk.
const PAUSE: Duration = Duration::from_millis(20);

/// What the task needs.
pub struct Retention {
    /// Where calls and events are.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: Metrics,
    /// How long calls and events are kept.
    pub keep: Duration,
}

impl Retention {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.forget()).await {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.metrics.store_errors.with_label_values(&["retention"]).inc();
                    tracing::warn!(%error, "old calls are not forgotten yet");
                }
                None => return,
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Forgets all that is older than `keep` now.
    ///
    /// # Errors
    /// As the store says; what was forgotten before stays so.
    pub async fn forget(&self) -> Result<(), StoreError> {
        let keep_ms = Millis::try_from(self.keep.as_millis()).unwrap_or(Millis::MAX);
        let before_ms = self.clock.now_ms().saturating_sub(keep_ms);
        loop {
            let forgotten = self.store.forget_calls(before_ms, BATCH).await?;
            self.metrics.forgotten.with_label_values(&["call"]).inc_by(u64::from(forgotten));
            if forgotten < BATCH {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let mut after = 0;
        loop {
            let (forgotten, next) = self.store.forget_events(before_ms, after, BATCH).await?;
            self.metrics.forgotten.with_label_values(&["event"]).inc_by(u64::from(forgotten));
            let Some(next) = next else { return Ok(()) };
            after = next;
            tokio::time::sleep(PAUSE).await;
        }
    }
}
