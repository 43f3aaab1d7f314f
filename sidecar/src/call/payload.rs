//! The JSON body of an event: what a customer's receiver gets and what its signature covers.
//!
//! Rendered once, when the event is written, and kept as those bytes for ever. Field names are part of the API.

use jiff::Timestamp;
use serde::Serialize;
use trunk_admission::model::Kind;

use super::{Call, party_name};
use crate::domain::Millis;

/// The three events of a call; the number is their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// Judged: admitted or refused.
    Initiated = 0,
    /// Answered.
    Answered = 1,
    /// Over.
    Hangup = 2,
}

impl EventKind {
    /// The `type` of the event.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Initiated => "call.initiated",
            EventKind::Answered => "call.answered",
            EventKind::Hangup => "call.hangup",
        }
    }

    /// Position within the call.
    pub fn sequence(self) -> u8 {
        self as u8
    }
}

/// The id of an event, the same for ever and wherever it is computed: it is what receivers drop duplicates by.
pub fn event_id(call: uuid::Uuid, kind: EventKind) -> String {
    format!("evt_{}_{}", call.simple(), kind.sequence())
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: &'a D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Common<'a> {
    call_id: String,
    sequence: u8,
    trunk_id: Option<&'a str>,
    account_id: Option<&'a str>,
    direction: &'static str,
    sip_call_id: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    source_ip: Option<String>,
    allowed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Initiated<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    request_uri: Option<&'a str>,
    reason: Option<&'static str>,
    sip_code: Option<u16>,
    status: Option<&'static str>,
    limit: Option<u32>,
    count: Option<u32>,
    retry_after_ms: Option<Millis>,
    generation: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    gateway: Option<&'a str>,
    attempts: u8,
    start_time: String,
    answer_time: Option<String>,
    ring_ms: Option<Millis>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hangup<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    status: Option<&'static str>,
    sip_code: Option<u16>,
    q850_cause: Option<u16>,
    hangup_by: Option<&'static str>,
    gateway: Option<&'a str>,
    attempts: u8,
    start_time: String,
    ring_time: Option<String>,
    answer_time: Option<String>,
    end_time: Option<String>,
    duration_ms: Option<Millis>,
    billable_seconds: Option<i64>,
    ring_ms: Option<Millis>,
    /// A decimal as text, exact.
    cost: Option<String>,
    currency: Option<&'a str>,
    // Known once a media engine is there; the field is part of the body from the start.
    quality: Option<&'static str>,
    reconciled: bool,
}

/// The body of an event of `call` that happened at `at_ms`.
///
/// # Errors
/// Only if serialising fails, which the types leave no way for.
pub fn render(call: &Call, kind: EventKind, at_ms: Millis) -> Result<String, serde_json::Error> {
    match kind {
        EventKind::Initiated => envelope(kind, at_ms, &initiated(call)),
        EventKind::Answered => envelope(kind, at_ms, &answered(call)),
        EventKind::Hangup => envelope(kind, at_ms, &hangup(call)),
    }
}

fn envelope<D: Serialize>(kind: EventKind, at_ms: Millis, data: &D) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Envelope { kind: kind.name(), timestamp: rfc3339(at_ms), data })
}

fn common(call: &Call, kind: EventKind) -> Common<'_> {
    Common {
        call_id: call.id.to_string(),
        sequence: kind.sequence(),
        trunk_id: call.trunk.as_deref(),
        account_id: call.account.as_deref(),
        direction: direction(call.kind),
        sip_call_id: call.sip_call_id.as_deref(),
        from: call.from.as_deref(),
        to: call.to.as_deref(),
        source_ip: call.source.map(|(address, _)| address.to_string()),
        allowed: call.allowed,
    }
}

fn initiated(call: &Call) -> Initiated<'_> {
    let refused = call.refused();
    Initiated {
        common: common(call, EventKind::Initiated),
        request_uri: call.request_uri.as_deref(),
        reason: call.reason.map(|reason| reason.name()),
        sip_code: call.sip_code.filter(|_| refused.is_some()),
        status: call.status.filter(|_| refused.is_some()).map(|status| status.name()),
        limit: refused.map(|refused| refused.limit),
        count: refused.map(|refused| refused.count),
        retry_after_ms: refused.and_then(|refused| refused.retry_after_ms),
        generation: call.generation,
    }
}

fn answered(call: &Call) -> Answered<'_> {
    Answered {
        common: common(call, EventKind::Answered),
        gateway: call.gateway.as_deref(),
        attempts: call.attempts,
        start_time: rfc3339(call.start_ms),
        answer_time: call.answer_ms.map(rfc3339),
        ring_ms: call.ring_duration_ms(),
    }
}

fn hangup(call: &Call) -> Hangup<'_> {
    Hangup {
        common: common(call, EventKind::Hangup),
        status: call.status.map(|status| status.name()),
        sip_code: call.sip_code,
        q850_cause: call.q850,
        hangup_by: call.hangup_by.map(party_name),
        gateway: call.gateway.as_deref(),
        attempts: call.attempts,
        start_time: rfc3339(call.start_ms),
        ring_time: call.ring_ms.map(rfc3339),
        answer_time: call.answer_ms.map(rfc3339),
        end_time: call.end_ms.map(rfc3339),
        duration_ms: call.duration_ms(),
        billable_seconds: call.billable_seconds(),
        ring_ms: call.ring_duration_ms(),
        cost: call.cost.map(|cost| cost.to_string()),
        currency: call.currency(),
        quality: None,
        reconciled: call.reconciled,
    }
}

/// The direction from the customer's side: a trunk calls out through us, an application is called.
pub fn direction(kind: Kind) -> &'static str {
    match kind {
        Kind::Trunk => "outbound",
        Kind::Application => "inbound",
    }
}

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at_ms: Millis) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
