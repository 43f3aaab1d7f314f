//! A signed probe, sent at somebody's wish, so that a receiver can be tried before a call is.
//!
//! Goes the way of an event, fallback included, but is none: never kept, never tried again.

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt::word;
use super::client::Transport;
use super::message;
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
    /// HTTP status, if one came.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Vec<u8>,
}

/// Sends a probe for a trunk or application.
pub async fn send(transport: &dyn Transport, clock: &dyn Clock, webhook: &Webhook, trunk: &str) -> Probed {
    let event_id = format!("evt_test_{}", Uuid::now_v7().simple());
    let at = Timestamp::from_millisecond(clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
    let timestamp = at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let data = json!({ "trunkId": trunk, "message": "a probe; nobody has called" });
    let body = json!({ "type": "webhook.test", "timestamp": timestamp, "data": data }).to_string();
    let mut probed = Probed { delivered: false, event_id, attempts: Vec::new() };
    for url in [Some(&webhook.url), webhook.fallback_url.as_ref()].into_iter().flatten() {
        let started = Instant::now();
        let request = message::request(webhook, url, &probed.event_id, &body, clock.now_ms());
        let result = transport.send(request).await;
        let duration_ms = Millis::try_from(started.elapsed().as_millis()).unwrap_or(Millis::MAX);
        let outcome = word(&result);
        let (status, error, answer) = match result {
            Ok(answer) => (Some(answer.status), answer.cut, answer.body),
            Err(error) => (None, Some(error.to_string()), Vec::new()),
        };
        probed.delivered = outcome == "delivered";
        probed.attempts.push(ProbeAttempt { url: url.clone(), outcome, duration_ms, status, error, answer });
        if probed.delivered {
            break;
        }
    }
    probed
}
