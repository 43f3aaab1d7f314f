//! One endpoint's queue: takes what is due from the store, keeps a few attempts under way, leaves when nothing is left.
//!
//! How many that are is the breaker's to say: a dead receiver costs one socket now and then. Of all that failed last only
//! so many are tried at once, whatever their number. Must never send to where an event went when it began to wait: what is
//! due and where to is looked up when there is leave to send, and not before.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
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
/// How long nothing is begun after an attempt that could not be written down, first and at most; doubled each time.
const LOST_PAUSE: RangeInclusive<Duration> = STORE_PAUSE..=Duration::from_secs(60);

pub(super) struct Worker {
    endpoint: EndpointId,
    deps: Arc<Deps>,
    transport: Arc<dyn Transport>,
    bell: Arc<Bell>,
    attempts: JoinSet<Outcomes>,
    under_way: HashMap<Id, i64>,
    url: Receiver,
    fallback: Receiver,
    lost: Lost,
}

/// Attempts that could not be written down will be made again; not as fast as we can.
#[derive(Debug, Default)]
struct Lost {
    pause: Duration,
    not_before: Option<Instant>,
}

impl Lost {
    /// How long nothing is to be begun.
    fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before.map(|until| until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    fn heard(&mut self, lost: bool, now: Instant) {
        if !lost {
            *self = Lost::default();
        } else if self.wait(now).is_none() {
            // Those that were under way when a pause began make it no longer.
            self.pause = (self.pause * 2).clamp(*LOST_PAUSE.start(), *LOST_PAUSE.end());
            self.not_before = Some(now + self.pause);
        }
    }
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
        let lost = Lost::default();
        Worker { endpoint, deps, transport, bell, attempts, under_way, url, fallback, lost }
    }

    /// Works until nothing is left or `stop`; attempts under way are always finished. Answers how many rings of the
    /// bell it had heard when it looked for the last time.
    pub(super) async fn run(mut self, stop: CancellationToken) -> u64 {
        let mut seen = self.bell.rings();
        while !stop.is_cancelled() {
            // Those that ended together, because they were written down together, are followed by one look at the store.
            while let Some(ended) = self.attempts.try_join_next_with_id() {
                self.ended(ended);
            }
            seen = self.bell.rings();
            let Until::Event(sleep) = self.fill(&stop).await else { return seen };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
                () = self.bell.notify.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
        while let Some(ended) = self.attempts.join_next_with_id().await {
            self.ended(ended);
        }
        seen
    }

    /// Starts as many attempts as are due and allowed.
    async fn fill(&mut self, stop: &CancellationToken) -> Until {
        if let Some(wait) = self.lost.wait(Instant::now()) {
            return Until::Event(wait);
        }
        let leave = self.leave().0;
        let most = match leave {
            Leave::All => self.deps.settings.borrow().endpoint_concurrency,
            // Also at rest: whether anything is left to be done, and still to the same receiver, is looked up all the same.
            Leave::One | Leave::Rest(_) => 1,
        };
        let room = most.saturating_sub(self.under_way.len());
        if room == 0 {
            return Until::Event(LONGEST_SLEEP);
        }
        // The bell need not be heard meanwhile: whatever it rang for is looked up after this, and whoever is called away from
        // a queue has to begin again at its end.
        let turn = match leave {
            Leave::One => match stop.run_until_cancelled(Arc::clone(&self.deps.trials).acquire_owned()).await
            {
                // Never closed.
                Some(turn) => turn.ok(),
                None => return Until::Event(Duration::ZERO),
            },
            Leave::All | Leave::Rest(_) => None,
        };
        let now_ms = self.deps.clock.now_ms();
        // What is under way is still pending in the store, so it is asked for on top and left out here.
        let limit = room + self.under_way.len();
        match self.deps.outbox.due(self.endpoint, now_ms, limit).await {
            Ok(Some(due)) => self.start(due, room, turn),
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

    fn start(&mut self, due: Due, room: usize, mut turn: Option<OwnedSemaphorePermit>) -> Until {
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
        if leave == Leave::One && turn.is_none() && !fresh.is_empty() {
            // A rest has ended just now: come back with a turn.
            return Until::Event(Duration::ZERO);
        }
        let way = Arc::new(Way { endpoint: self.endpoint, webhook: due.webhook, fallback_only });
        for delivery in fresh {
            let delivery_id = delivery.id;
            let (deps, transport, way) =
                (Arc::clone(&self.deps), Arc::clone(&self.transport), Arc::clone(&way));
            // There is one only if one may be under way, or if there is another URL since, which needs none.
            let turn = turn.take();
            let task = async move {
                let _turn = turn;
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

    fn ended(&mut self, ended: Result<(Id, Outcomes), tokio::task::JoinError>) {
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
        self.lost.heard(outcomes.lost, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_again_and_again_is_tried_ever_more_rarely() {
        let (mut lost, mut now) = (Lost::default(), Instant::now());
        assert_eq!(lost.wait(now), None);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = Duration::from_secs(seconds);
            lost.heard(true, now);
            lost.heard(true, now);
            assert_eq!(lost.wait(now), Some(pause), "those that were under way make it no longer");
            now += pause;
            assert_eq!(lost.wait(now), None);
        }
        lost.heard(false, now);
        lost.heard(true, now);
        assert_eq!(lost.wait(now), Some(STORE_PAUSE));
    }
}
