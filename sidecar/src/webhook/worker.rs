//! One endpoint's queue: takes what is due from the store, keeps a few attempts under way, leaves when nothing is left.
//!
//! How many that are is the breaker's to say: a dead receiver costs one socket now and then. Of all that failed last only
//! so many are tried at once, whatever their number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Deps;
use super::attempt::{self, Outcome, Outcomes, Way};
use super::breaker::{Breaker, Leave};
use super::client::Transport;
use super::recorder::STORE_PAUSE;
use super::wakes::Bell;
use crate::store::{Due, EndpointId};

/// Longest sleep. The bell rings when the clock was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(6 * 3600);

pub(super) struct Worker {
    endpoint: EndpointId,
    deps: Arc<Deps>,
    transport: Arc<dyn Transport>,
    bell: Arc<Bell>,
    attempts: JoinSet<Outcomes>,
    under_way: HashMap<Id, i64>,
    url: Receiver,
    fallback: Receiver,
}

/// One of the two that an event may go to.
#[derive(Debug, Default)]
struct Receiver {
    breaker: Breaker,
    /// Where it is: another one begins anew.
    url: String,
}

impl Receiver {
    fn is_at(&mut self, url: &str) {
        if self.url != url {
            *self = Receiver { breaker: Breaker::default(), url: url.to_owned() };
        }
    }

    fn heard(&mut self, outcome: Outcome, endpoint: EndpointId) {
        match outcome {
            Outcome::Good => {
                if self.breaker.good() {
                    tracing::info!(endpoint = endpoint.0, "the receiver is well again");
                }
            }
            Outcome::Bad(asked) => {
                if let Some(rest) = self.breaker.bad(Instant::now(), asked) {
                    tracing::warn!(
                        endpoint = endpoint.0,
                        ?rest,
                        "the receiver fails; it is left alone for a while"
                    );
                }
            }
        }
    }
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
        let (url, fallback) = (Receiver::default(), Receiver::default());
        Worker { endpoint, deps, transport, bell, attempts, under_way, url, fallback }
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
        let most = match self.leave().0 {
            Leave::All => self.deps.settings.borrow().endpoint_concurrency,
            // Also at rest: whether anything is left to be done, and still to the same receiver, is looked up all the same.
            Leave::One | Leave::Rest(_) => 1,
        };
        let room = most.saturating_sub(self.under_way.len());
        if room == 0 {
            return Until::Event(LONGEST_SLEEP);
        }
        let now_ms = self.deps.clock.now_ms();
        // What is under way is still pending in the store, so it is asked for on top and left out here.
        let limit = room + self.under_way.len();
        match self.deps.outbox.due(self.endpoint, now_ms, limit).await {
            Ok(Some(due)) => self.start(due, room),
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

    fn start(&mut self, due: Due, room: usize) -> Until {
        self.url.is_at(&due.webhook.url);
        self.fallback.is_at(due.webhook.fallback_url.as_deref().unwrap_or_default());
        let fresh = due
            .deliveries
            .into_iter()
            .filter(|delivery| !self.under_way.values().any(|id| *id == delivery.id));
        let fresh: Vec<_> = fresh.take(room).collect();
        let (leave, fallback_only) = self.leave();
        if let Leave::Rest(rest) = leave
            && !fresh.is_empty()
        {
            return Until::Event(rest.min(LONGEST_SLEEP));
        }
        let way = Arc::new(Way { endpoint: self.endpoint, webhook: due.webhook, fallback_only });
        for delivery in fresh {
            let delivery_id = delivery.id;
            let (deps, transport, way) =
                (Arc::clone(&self.deps), Arc::clone(&self.transport), Arc::clone(&way));
            let task = async move {
                // Never closed.
                let _turn = if leave == Leave::One { deps.trials.acquire().await.ok() } else { None };
                attempt::make(&deps, &*transport, &way, &delivery).await
            };
            self.under_way.insert(self.attempts.spawn(task).id(), delivery_id);
        }
        match due.next_ms {
            None if self.under_way.is_empty() => Until::Idle,
            None => Until::Event(LONGEST_SLEEP),
            Some(next_ms) => {
                // The store may have taken its time.
                let wait = u64::try_from(next_ms - self.deps.clock.now_ms()).unwrap_or(0);
                Until::Event(Duration::from_millis(wait).min(LONGEST_SLEEP))
            }
        }
    }

    /// How much may be under way, and whether to the fallback alone, because the URL rests.
    fn leave(&self) -> (Leave, bool) {
        let now = Instant::now();
        match self.url.breaker.leave(now) {
            Leave::Rest(rest) if !self.fallback.url.is_empty() => match self.fallback.breaker.leave(now) {
                Leave::Rest(other) => (Leave::Rest(rest.min(other)), false),
                leave => (leave, true),
            },
            leave => (leave, false),
        }
    }

    async fn ended(&mut self, ended: Result<(Id, Outcomes), tokio::task::JoinError>) {
        let (id, outcomes) = match ended {
            Ok((id, outcomes)) => (id, outcomes),
            Err(error) => {
                tracing::error!(%error, "a webhook attempt died");
                (error.id(), Outcomes { lost: true, ..Outcomes::default() })
            }
        };
        self.under_way.remove(&id);
        if let Some(outcome) = outcomes.url {
            self.url.heard(outcome, self.endpoint);
        }
        if let Some(outcome) = outcomes.fallback {
            self.fallback.heard(outcome, self.endpoint);
        }
        if outcomes.lost {
            // It will be made again; not as fast as we can.
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }
}
