//! Forgets what is old enough: calls that have ended, and events that nobody is owed any more.
//!
//! In small transactions, each of which waits its turn behind whatever else is to be written; what goes is looked for on
//! another thread. Must never forget a call that is up, nor an event that is still to be delivered, nor anything by a clock
//! that has gone ahead without us: by one that is years ahead everything is old.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::Millis;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};

/// How often the old are looked for.
const EVERY: Duration = Duration::from_secs(60);
/// How often the search begins anew with the oldest event: those that were owed then may have been delivered since.
const ANEW: Duration = Duration::from_secs(3600);
/// Rows of one transaction: some ten milliseconds.
const BATCH: u32 = 200;
/// Between two transactions, so that others get most of the disk.
const PAUSE: Duration = Duration::from_millis(20);
/// How far the clock may be ahead of when it was believed last.
const BELIEVED_AHEAD_MS: Millis = 86_400_000;
/// How far the clock goes on before that is written down again.
const KEPT_EVERY_MS: Millis = 3_600_000;

/// What the task needs.
pub struct Deps {
    /// Where calls and events are.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: Metrics,
    /// How long calls and events are kept.
    pub keep: Duration,
    /// When somebody has made sure that the clock is right.
    pub clock_checked_ms: Option<Millis>,
}

/// The task.
pub struct Retention {
    deps: Deps,
    belief: Option<Belief>,
    held: bool,
    /// Events up to here were looked at, since then.
    passed: i64,
    begun: Option<Instant>,
}

/// What the clock should say.
struct Belief {
    clock_ms: Millis,
    at: Instant,
    /// What of it is written down.
    kept_ms: Millis,
}

impl Retention {
    /// Nothing is looked at yet.
    pub fn new(deps: Deps) -> Retention {
        Retention { deps, belief: None, held: false, passed: 0, begun: None }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.forget()).await {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.deps.metrics.store_errors.with_label_values(&["retention"]).inc();
                    tracing::warn!(%error, "old calls are not forgotten yet");
                }
                None => return,
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Forgets all that is older than `keep` now, if the clock can be believed.
    ///
    /// # Errors
    /// As the store says; what was forgotten before stays so.
    pub async fn forget(&mut self) -> Result<(), StoreError> {
        let now_ms = self.deps.clock.now_ms();
        if !self.believes(now_ms).await? {
            return Ok(());
        }
        let Deps { store, metrics, keep, .. } = &self.deps;
        let keep_ms = Millis::try_from(keep.as_millis()).unwrap_or(Millis::MAX);
        let before_ms = now_ms.saturating_sub(keep_ms);
        loop {
            let forgotten = store.forget_calls(before_ms, BATCH).await?;
            metrics.forgotten.with_label_values(&["call"]).inc_by(u64::from(forgotten));
            if forgotten < BATCH {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if self.begun.is_none_or(|begun| begun.elapsed() >= ANEW) {
            (self.passed, self.begun) = (0, Some(Instant::now()));
        }
        loop {
            let (old, next) = store.old_events(before_ms, self.passed, BATCH).await?;
            if !old.is_empty() {
                let forgotten = store.forget_events(old).await?;
                metrics.forgotten.with_label_values(&["event"]).inc_by(u64::from(forgotten));
                tokio::time::sleep(PAUSE).await;
            }
            let Some(next) = next else { return Ok(()) };
            self.passed = next;
        }
    }

    /// Whether the clock is about where it should be. What was believed outlives a restart, so that nobody needs only to start
    /// us again by a wrong clock.
    async fn believes(&mut self, now_ms: Millis) -> Result<bool, StoreError> {
        let now = Instant::now();
        let (expected_ms, kept_ms) = match &self.belief {
            Some(belief) => {
                let passed = Millis::try_from((now - belief.at).as_millis()).unwrap_or(Millis::MAX);
                (belief.clock_ms.saturating_add(passed), belief.kept_ms)
            }
            None => {
                let kept = self.deps.store.believed_clock().await?;
                // Before the first time there is nothing to be forgotten.
                (kept.max(self.deps.clock_checked_ms).unwrap_or(now_ms), kept.unwrap_or(Millis::MIN))
            }
        };
        let ahead_ms = now_ms.saturating_sub(expected_ms);
        let good = ahead_ms <= BELIEVED_AHEAD_MS;
        if self.held == good {
            match good {
                true => tracing::info!("the clock is believed again; old calls are forgotten"),
                false => tracing::error!(
                    ahead_ms,
                    "the clock is far ahead of when it was believed last: nothing is forgotten until it is right or \
                     calls.clock_checked_at says that it is"
                ),
            }
            self.held = !good;
        }
        self.deps.metrics.retention_held.set(i64::from(self.held));
        // A clock that was set back is no reason to believe less: it may be right again soon.
        let clock_ms = if good { now_ms.max(expected_ms) } else { expected_ms };
        self.belief = Some(Belief { clock_ms, at: now, kept_ms });
        if good && clock_ms.saturating_sub(kept_ms) >= KEPT_EVERY_MS {
            self.deps.store.believe_clock(clock_ms).await?;
            self.belief = Some(Belief { clock_ms, at: now, kept_ms: clock_ms });
        }
        Ok(good)
    }
}
