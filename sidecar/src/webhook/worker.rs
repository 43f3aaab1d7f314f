//! One endpoint's queue: takes what is due from the store, keeps a few attempts under way, leaves when nothing is left.
//!
//! After a failed attempt the endpoint gets one at a time until one succeeds, so a dead receiver costs one socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::attempt::{self, Outcome};
use super::client::Transport;
use super::{Bell, Deps};
use crate::domain::Millis;
use crate::store::{Due, EndpointId};

/// Longest sleep: a clock that was set back must not stretch a wait for ever.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long to keep away from a store that failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    endpoint: EndpointId,
    deps: Arc<Deps>,
    transport: Arc<dyn Transport>,
    bell: Arc<Bell>,
    attempts: JoinSet<Outcome>,
    under_way: HashMap<Id, i64>,
    healthy: bool,
}

/// What to do until something happens.
enum Until {
    /// Wait for an attempt, the bell, or this long.
    Event(Duration),
    /// Nothing is left to be done.
    Idle,
}

impl Worker {
    pub(super) fn new(
        endpoint: EndpointId,
        deps: Arc<Deps>,
        transport: Arc<dyn Transport>,
        bell: Arc<Bell>,
    ) -> Worker {
        let (attempts, under_way) = (JoinSet::new(), HashMap::new());
        Worker { endpoint, deps, transport, bell, attempts, under_way, healthy: true }
    }

    /// Works until nothing is left or `stop`; attempts under way are always finished. Answers how many rings of the
    /// bell it had heard when it looked for the last time.
    pub(super) async fn run(mut self, stop: CancellationToken) -> u64 {
        let mut seen = self.bell.rings();
        while !stop.is_cancelled() {
            seen = self.bell.rings();
            let Until::Event(sleep) = self.fill().await else { return seen };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended).await,
                () = self.bell.notify.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
        while let Some(ended) = self.attempts.join_next_with_id().await {
            self.ended(ended).await;
        }
        seen
    }

    /// Starts as many attempts as are due and allowed.
    async fn fill(&mut self) -> Until {
        let most = if self.healthy { self.deps.settings.borrow().endpoint_concurrency } else { 1 };
        let room = most.saturating_sub(self.under_way.len());
        if room == 0 {
            return Until::Event(LONGEST_SLEEP);
        }
        let now_ms = self.deps.clock.now_ms();
        // What is under way is still pending in the store, so it is asked for on top and left out here.
        let limit = room + self.under_way.len();
        match self.deps.store.due(self.endpoint, now_ms, limit).await {
            Ok(Some(due)) => self.start(due, room, now_ms),
            // Disabled or removed meanwhile: finish what is under way, begin nothing.
            Ok(None) if self.under_way.is_empty() => Until::Idle,
            Ok(None) => Until::Event(LONGEST_SLEEP),
            Err(error) => {
                self.deps.metrics.store_errors.with_label_values(&["outbox"]).inc();
                tracing::error!(%error, "cannot read the outbox");
                Until::Event(STORE_PAUSE)
            }
        }
    }

    fn start(&mut self, due: Due, room: usize, now_ms: Millis) -> Until {
        let fresh = due
            .deliveries
            .into_iter()
            .filter(|delivery| !self.under_way.values().any(|id| *id == delivery.id));
        let fresh: Vec<_> = fresh.take(room).collect();
        for delivery in fresh {
            let delivery_id = delivery.id;
            let (deps, transport) = (Arc::clone(&self.deps), Arc::clone(&self.transport));
            let (endpoint, url, secret) = (self.endpoint, due.url.clone(), due.secret.clone());
            let task =
                async move { attempt::make(&deps, &*transport, endpoint, &url, &secret, delivery).await };
            self.under_way.insert(self.attempts.spawn(task).id(), delivery_id);
        }
        match due.next_ms {
            None if self.under_way.is_empty() => Until::Idle,
            None => Until::Event(LONGEST_SLEEP),
            Some(next_ms) => {
                let wait = u64::try_from(next_ms - now_ms).unwrap_or(0);
                Until::Event(Duration::from_millis(wait).min(LONGEST_SLEEP))
            }
        }
    }

    async fn ended(&mut self, ended: Result<(Id, Outcome), tokio::task::JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => {
                tracing::error!(%error, "a webhook attempt died");
                (error.id(), Outcome::NotRecorded)
            }
        };
        self.under_way.remove(&id);
        self.healthy = outcome == Outcome::Good;
        if outcome == Outcome::NotRecorded {
            // It will be made again; not as fast as we can.
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }
}
