//! One attempt: sign, send, judge, write down.
//!
//! The record is written after the fact. Killed in between, the attempt is made again with the same event id: at least
//! once, never not at all.

use rand::Rng as _;
use tokio::time::Instant;

use super::client::{Answer, Request, SendError, Transport};
use super::retry::{Meaning, Next, Schedule, meaning, retry_after};
use super::{Deps, sign};
use crate::domain::Millis;
use crate::secret::WebhookSecret;
use crate::store::{AttemptRecord, Delivery, EndpointId, Then};

/// What an attempt says about its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver took the event.
    Good,
    /// It did not.
    Bad,
    /// What became of it could not be written down.
    NotRecorded,
}

pub(super) async fn make(
    deps: &Deps,
    transport: &dyn Transport,
    endpoint: EndpointId,
    url: &str,
    secret: &WebhookSecret,
    delivery: Delivery,
) -> Outcome {
    let (started_ms, started) = (deps.clock.now_ms(), Instant::now());
    let timestamp_s = started_ms / 1000;
    let signature = sign::signature(secret, &delivery.event_id, timestamp_s, delivery.body.as_bytes());
    let request = Request { url, event_id: &delivery.event_id, timestamp_s, signature, body: delivery.body };
    let result = transport.post(request).await;

    let duration = started.elapsed();
    let duration_ms = Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX);
    let number = delivery.attempts.saturating_add(1);
    let now_ms = started_ms + duration_ms;
    let schedule = deps.settings.borrow().schedule.clone();
    let (outcome, then) = judge(&result, &schedule, number, now_ms, rand::rng().random());
    deps.metrics.attempts.with_label_values(&[outcome]).inc();
    deps.metrics.attempt_seconds.with_label_values(&[outcome]).observe(duration.as_secs_f64());
    if then == Then::Delivered {
        deps.metrics.delivery_seconds.observe((now_ms - delivery.created_ms).max(0) as f64 / 1000.0);
    }
    tracing::debug!(
        event = delivery.event_id,
        endpoint = endpoint.0,
        number,
        outcome,
        ?then,
        "webhook attempt"
    );
    if then == Then::Disable {
        tracing::warn!(
            endpoint = endpoint.0,
            "the receiver answered 410; the endpoint is disabled, its events are kept"
        );
    }
    if then == Then::Park {
        tracing::warn!(
            event = delivery.event_id,
            endpoint = endpoint.0,
            number,
            "the last attempt failed; the event is parked"
        );
    }

    let (status, error, answer) = match result {
        Ok(answer) => (Some(answer.status), answer.cut, answer.body),
        Err(error) => (None, Some(error.to_string()), Vec::new()),
    };
    let record = AttemptRecord {
        delivery: delivery.id,
        endpoint,
        number,
        started_ms,
        duration_ms,
        outcome,
        status,
        error,
        answer,
        then,
    };
    match deps.store.record(record).await {
        Ok(()) if then == Then::Delivered => Outcome::Good,
        Ok(()) => Outcome::Bad,
        Err(error) => {
            deps.metrics.store_errors.with_label_values(&["outbox"]).inc();
            tracing::error!(%error, "cannot write down a webhook attempt; it will be made again");
            Outcome::NotRecorded
        }
    }
}

/// What a result means for the delivery, and its one word for metrics and the attempt log.
fn judge(
    result: &Result<Answer, SendError>,
    schedule: &Schedule,
    number: u32,
    now_ms: Millis,
    spread: f64,
) -> (&'static str, Then) {
    let again = |asked| match schedule.after(number, asked, spread) {
        Next::Park => Then::Park,
        Next::RetryIn(wait) => {
            Then::RetryAt(now_ms + Millis::try_from(wait.as_millis()).unwrap_or(Millis::MAX))
        }
    };
    match result {
        Err(error) => (error.word(), again(None)),
        Ok(answer) => match meaning(answer.status) {
            Meaning::Delivered => ("delivered", Then::Delivered),
            Meaning::Gone => ("gone", Then::Disable),
            Meaning::Failed if (300..400).contains(&answer.status) => ("redirect", again(None)),
            Meaning::Failed => {
                let asked = retry_after(answer.status, answer.retry_after.as_deref());
                (if answer.status < 500 { "refused" } else { "error" }, again(asked))
            }
        },
    }
}
