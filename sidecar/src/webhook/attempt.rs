//! One attempt: send, judge, write down; to the URL first, and at once to the fallback if that fails.
//!
//! The record is written after the fact. Killed in between, the attempt is made again with the same event id: at least
//! once, never not at all.

use std::time::Duration;

use tokio::time::Instant;

use super::client::{Answer, SendError, Told, Transport};
use super::retry::{Meaning, Next, Schedule, meaning, retry_after, spread};
use super::{Deps, message};
use crate::crash;
use crate::domain::{Millis, Webhook};
use crate::store::{AttemptRecord, Delivery, EndpointId, Target, Then};

/// How much is kept of the answer of a receiver that took the event, in bytes: nobody will ask why.
const KEPT_OF_GOOD_BYTES: usize = 1 << 10;

/// What an attempt says about a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It took the event.
    Good,
    /// It did not, and may have asked for patience.
    Bad(Option<Duration>),
}

/// What an attempt says about both receivers; nothing of one that was not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) url: Option<Outcome>,
    pub(super) fallback: Option<Outcome>,
    /// What became of it could not be written down.
    pub(super) lost: bool,
}

/// Where an event goes and how it is signed.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) endpoint: EndpointId,
    pub(super) webhook: Webhook,
    /// The URL is left alone for now: the fallback alone is asked.
    pub(super) fallback_only: bool,
}

pub(super) async fn make(deps: &Deps, transport: &dyn Transport, way: &Way, delivery: &Delivery) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let fallback = way.webhook.fallback_url.as_deref();
    if !way.fallback_only || fallback.is_none() {
        let post = Post { deps, transport, way, delivery };
        let (outcome, recorded) = post.make(Target::Url, &way.webhook.url, fallback.is_some()).await;
        outcomes.url = Some(outcome);
        outcomes.lost = !recorded;
        if outcome == Outcome::Good || !recorded {
            return outcomes;
        }
    }
    if let Some(url) = fallback {
        let post = Post { deps, transport, way, delivery };
        let (outcome, recorded) = post.make(Target::Fallback, url, false).await;
        outcomes.fallback = Some(outcome);
        outcomes.lost = !recorded;
    }
    outcomes
}

struct Post<'a> {
    deps: &'a Deps,
    transport: &'a dyn Transport,
    way: &'a Way,
    delivery: &'a Delivery,
}

impl Post<'_> {
    /// Sends once. `more` says that a failure is not the end of the attempt. Also answers whether it was written down.
    async fn make(&self, target: Target, url: &str, more: bool) -> (Outcome, bool) {
        let Post { deps, delivery, .. } = self;
        crash::point("delivery.due");
        let (started_ms, started) = (deps.clock.now_ms(), Instant::now());
        let request =
            message::request(&self.way.webhook, url, &delivery.event_id, &delivery.body, started_ms);
        let result = self.transport.send(request).await;
        crash::point("delivery.answered");

        let duration = started.elapsed();
        let duration_ms = Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX);
        let number = delivery.attempts.saturating_add(1);
        // Not `started_ms` and what has passed: the clock may have been set meanwhile.
        let now_ms = deps.clock.now_ms();
        let schedule = deps.settings.borrow().schedule.clone();
        let spread = spread(&delivery.event_id, number);
        let again = |asked| again(&schedule, number, asked, now_ms, spread);
        let word = word(&result);
        let then = match judge(&result, again) {
            // Only the URL itself ends the endpoint.
            Then::Disable if target == Target::Fallback => again(None),
            Then::RetryAt(_) | Then::Park if more => Then::GoOn,
            then => then,
        };
        deps.metrics.attempts.with_label_values(&[word]).inc();
        deps.metrics.attempt_seconds.with_label_values(&[word]).observe(duration.as_secs_f64());
        if then == Then::Delivered {
            let waited_ms = now_ms.saturating_sub(delivery.created_ms).max(0);
            deps.metrics.delivery_seconds.observe(waited_ms as f64 / 1000.0);
        }
        self.tell(number, word, then);
        let asked = match &result {
            Ok(answer) => retry_after(answer.status, answer.retry_after.as_deref()),
            Err(_) => None,
        };
        let Told { status, error, mut answer } = Told::from(result);
        if then == Then::Delivered {
            answer.truncate(KEPT_OF_GOOD_BYTES);
        }
        let record = AttemptRecord {
            delivery: delivery.id,
            endpoint: self.way.endpoint,
            target,
            number,
            started_ms,
            duration_ms,
            outcome: word,
            status,
            error,
            answer,
            then,
        };
        let outcome = if then == Then::Delivered { Outcome::Good } else { Outcome::Bad(asked) };
        let recorded = deps.recorder.record(record).await;
        crash::point("delivery.recorded");
        (outcome, recorded)
    }

    fn tell(&self, number: u32, outcome: &str, then: Then) {
        let (event, endpoint) = (&self.delivery.event_id, self.way.endpoint.0);
        tracing::debug!(event, endpoint, number, outcome, ?then, "webhook attempt");
        match then {
            Then::Disable => tracing::warn!(
                endpoint,
                "the receiver answered 410; the endpoint is disabled, its events are kept"
            ),
            Then::Park => {
                tracing::warn!(event, endpoint, number, "the last attempt failed; the event is parked")
            }
            Then::Delivered | Then::RetryAt(_) | Then::GoOn => {}
        }
    }
}

fn again(schedule: &Schedule, number: u32, asked: Option<Duration>, now_ms: Millis, spread: f64) -> Then {
    match schedule.after(number, asked, spread) {
        Next::Park => Then::Park,
        Next::RetryIn(wait) => {
            let wait_ms = Millis::try_from(wait.as_millis()).unwrap_or(Millis::MAX);
            Then::RetryAt(now_ms.saturating_add(wait_ms))
        }
    }
}

/// A result in one word, for people, metrics and the attempt log.
pub(super) fn word(result: &Result<Answer, SendError>) -> &'static str {
    match result {
        Err(error) => error.word(),
        Ok(answer) => match meaning(answer.status) {
            Meaning::Delivered => "delivered",
            Meaning::Gone => "gone",
            Meaning::Failed if (300..400).contains(&answer.status) => "redirect",
            Meaning::Failed if answer.status < 500 => "refused",
            Meaning::Failed => "error",
        },
    }
}

/// What a result means for the delivery.
fn judge(result: &Result<Answer, SendError>, again: impl Fn(Option<Duration>) -> Then) -> Then {
    match result {
        Err(_) => again(None),
        Ok(answer) => match meaning(answer.status) {
            Meaning::Delivered => Then::Delivered,
            Meaning::Gone => Then::Disable,
            Meaning::Failed => again(retry_after(answer.status, answer.retry_after.as_deref())),
        },
    }
}
