//! The module's records in the daemon's words: empty texts and zero times become "not known".
//!
//! Pure. Nothing is trusted beyond what the ring's own decoder has checked.

use trunk_admission::events::{Body, DecodeError, Ended, Event, Initiated, NO_MEDIA};
use uuid::Uuid;

use crate::call::{self, Report};
use crate::domain::Millis;
use crate::store::CallRecord;

/// A readable record.
pub(super) fn read(event: &Event) -> CallRecord {
    let report = match &event.body {
        Body::Initiated(body) => Report::Initiated(Box::new(initiated(body))),
        Body::Answered(body) => Report::Answered {
            gateway: text(&body.gateway),
            attempts: body.attempts,
            ring_ms: time(body.ring_wall_ms),
        },
        Body::Ended(body) => Report::Ended(Box::new(ended(body))),
    };
    CallRecord {
        call: Uuid::from_bytes(event.call),
        trunk: text(&event.trunk),
        at_ms: millis(event.wall_ms),
        report,
    }
}

fn initiated(body: &Initiated<String>) -> call::Initiated {
    call::Initiated {
        account: text(&body.account),
        kind: body.kind,
        reason: body.reason,
        limit: body.limit,
        count: body.count,
        // Of a rate of 0 it is for ever: no wait helps, as if none were known.
        wait_ms: Millis::try_from(body.wait_ms).unwrap_or(0),
        generation: millis(body.generation),
        source: (body.source, body.source_port),
        sip_call_id: body.sip_call_id.clone(),
        from: body.from_user.clone(),
        from_host: body.from_host.clone(),
        to: body.to_user.clone(),
        request_uri: body.request_uri.clone(),
    }
}

fn ended(body: &Ended<String>) -> call::Ended {
    call::Ended {
        sip_code: body.sip_code,
        q850: Some(body.q850).filter(|cause| (1..=127).contains(cause)),
        no_media: body.q850 == NO_MEDIA,
        by: body.by,
        cause: body.cause,
        start_ms: time(body.start_wall_ms),
        ring_ms: time(body.ring_wall_ms),
        answer_ms: time(body.answer_wall_ms),
        end_ms: millis(body.end_wall_ms),
        gateway: text(&body.gateway),
        attempts: body.attempts,
    }
}

/// What a fault is counted under.
pub(super) fn fault_word(fault: DecodeError) -> &'static str {
    match fault {
        DecodeError::Damaged => "damaged",
        DecodeError::Lost => "lost",
        DecodeError::Unknown(_) => "unknown",
        DecodeError::Short => "short",
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn time(wall_ms: u64) -> Option<Millis> {
    (wall_ms != 0).then(|| millis(wall_ms))
}

fn millis(value: u64) -> Millis {
    Millis::try_from(value).unwrap_or(Millis::MAX)
}
