//! A signed probe, sent at somebody's wish, so that a receiver can be tried before a call is.
//!
//! Goes the way of an event, fallback included, but is none: never kept, never tried again.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::attempt::word;
use super::client::{SendError, Told, Transport};
use super::message;
use crate::call::payload::rfc3339;
use crate::clock::Clock;
use crate::domain::{Millis, Webhook};

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Whether a receiver took it.
    pub delivered: bool,
    /// Its `webhook-id`.
    pub event_id: String,
    /// What was done, in order.
    pub attempts: Vec<ProbeAttempt>,
}

/// One attempt of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeAttempt {
    /// The URL or its fallback, as it was set.
    pub url: String,
    /// In one word.
    pub outcome: &'static str,
    /// How long it took.
    pub duration_ms: Millis,
    /// What came of it.
    pub told: Told,
}

/// Sends a probe for a trunk or application, all of it `within` this time: the URL takes half at most if there is a fallback.
pub async fn send(
    transport: &dyn Transport,
    clock: &dyn Clock,
    webhook: &Webhook,
    trunk: &str,
    within: Duration,
) -> Probed {
    let deadline = Instant::now() + within;
    let event_id = format!("evt_test_{}", Uuid::now_v7().simple());
    let timestamp = rfc3339(clock.now_ms());
    let data = json!({ "trunkId": trunk, "message": "a probe; nobody has called" });
    let body = json!({ "type": "webhook.test", "timestamp": timestamp, "data": data }).to_string();
    let mut probed = Probed { delivered: false, event_id, attempts: Vec::new() };
    let urls: Vec<_> = [Some(&webhook.url), webhook.fallback_url.as_ref()].into_iter().flatten().collect();
    for (left, url) in (1..=urls.len() as u32).rev().zip(urls) {
        let started = Instant::now();
        let time = deadline.saturating_duration_since(started) / left;
        let request = message::request(webhook, url, &probed.event_id, &body, clock.now_ms());
        let result = timeout(time, transport.send(request)).await;
        let result = result.unwrap_or(Err(SendError::TimedOut(time)));
        let duration_ms = Millis::try_from(started.elapsed().as_millis()).unwrap_or(Millis::MAX);
        let outcome = word(&result);
        let told = result.into();
        probed.delivered = outcome == "delivered";
        probed.attempts.push(ProbeAttempt { url: url.clone(), outcome, duration_ms, told });
        if probed.delivered {
            break;
        }
    }
    probed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TokioClock;
    use crate::secret::WebhookSecret;
    use crate::webhook::client::{Request, Sending};

    /// Receivers that take a connection and say nothing.
    struct Silence;

    impl Transport for Silence {
        fn send(&self, _: Request) -> Sending<'_> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_over_in_its_time_and_tells_of_both_receivers() {
        let within = Duration::from_secs(28);
        let mut webhook = Webhook::new("https://a.example/".into(), WebhookSecret::random());
        let clock = TokioClock::starting_at(0);
        for (fallback, times) in [(None, vec![28_000]), (Some("https://b.example/"), vec![14_000, 14_000])] {
            webhook.fallback_url = fallback.map(str::to_owned);
            let began = Instant::now();
            let probed = send(&Silence, &clock, &webhook, "t", within).await;
            assert!(began.elapsed() <= within + Duration::from_millis(10), "{:?}", began.elapsed());
            let told: Vec<_> = probed.attempts.iter().map(|one| (one.outcome, one.duration_ms)).collect();
            assert_eq!(
                told.iter().map(|(outcome, _)| *outcome).collect::<Vec<_>>(),
                vec!["timeout"; times.len()]
            );
            assert!(
                told.iter().zip(&times).all(|((_, took), wanted)| took.abs_diff(*wanted) < 10),
                "{told:?}"
            );
        }
    }
}
