//! A call as the API shows it: the words of the events, with everything that is known of it.

use serde::Serialize;
use trunk_admission::Reason;
use trunk_admission::model::Kind;
use utoipa::ToSchema;

use crate::api::answer::time;
use crate::call::payload::direction;
use crate::call::status::Status;
use crate::call::{Call, party_name};
use crate::domain::Millis;

/// One attempt, and what became of it. What is not known, or did not happen, is null.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Call)]
pub(super) struct CallView {
    call_id: String,
    /// Call-ID of the INVITE.
    sip_call_id: Option<String>,
    /// Owner of the trunk or application when the call began.
    account_id: Option<String>,
    trunk_id: Option<String>,
    application_id: Option<String>,
    /// `outbound` over a trunk, `inbound` to a voice application.
    direction: &'static str,
    /// User of From.
    from: Option<String>,
    /// Host of From.
    from_host: Option<String>,
    /// User of the Request-URI.
    to: Option<String>,
    request_uri: Option<String>,
    /// Where the INVITE came from.
    source_ip: Option<String>,
    source_port: Option<u16>,
    /// Whether it was admitted.
    allowed: bool,
    /// Why it was refused.
    reason: Option<&'static str>,
    /// Of a refused call: the limit that refused it; 0 if it was none.
    limit: Option<u32>,
    /// Of a refused call: the count that was seen.
    count: Option<u32>,
    /// Of a refused call: how long until the limit would have let it pass.
    retry_after_ms: Option<Millis>,
    /// Generation of the configuration that judged it.
    generation: i64,
    /// Gateway that answered, or the last one tried.
    gateway: Option<String>,
    /// Gateways tried.
    attempts: u8,
    #[schema(format = DateTime)]
    start_at: String,
    #[schema(format = DateTime)]
    ring_at: Option<String>,
    #[schema(format = DateTime)]
    answer_at: Option<String>,
    #[schema(format = DateTime)]
    end_at: Option<String>,
    /// From INVITE to end.
    duration_ms: Option<Millis>,
    /// Answered time in seconds, each begun one counted, up to a whole increment of the rate if there is one.
    billable_seconds: Option<i64>,
    /// From ringing to answer, or to the end if nobody answered.
    ring_ms: Option<Millis>,
    /// Final SIP status.
    sip_code: Option<u16>,
    /// Cause of a `Reason: Q.850` header.
    q850_cause: Option<u16>,
    /// How it ended; null while it is up. No media passes through Trunkline: `MEDIA_TIMEOUT` is what whoever hung up said, by `Reason:
    /// RELEASE_CAUSE` with cause 2 or 3 (3GPP TS 24.229), or with the text `MEDIA_TIMEOUT`, as FreeSWITCH does.
    status: Option<&'static str>,
    /// `caller`, `callee` or `proxy`.
    hangup_by: Option<&'static str>,
    /// What it cost, as an exact decimal, by the rate that was there when its beginning was written down; null without a rate plan, while it is up, and if it
    /// was reconciled.
    cost: Option<String>,
    /// ISO 4217, of `cost`.
    currency: Option<String>,
    /// Its Kamailio died or lost it: nobody knows how or when it really ended.
    reconciled: bool,
}

impl From<&Call> for CallView {
    fn from(call: &Call) -> CallView {
        let of = |kind: Kind| call.trunk.clone().filter(|_| call.kind == kind);
        let refused = call.refused();
        CallView {
            call_id: call.id.to_string(),
            sip_call_id: call.sip_call_id.clone(),
            account_id: call.account.clone(),
            trunk_id: of(Kind::Trunk),
            application_id: of(Kind::Application),
            direction: direction(call.kind),
            from: call.from.clone(),
            from_host: call.from_host.clone(),
            to: call.to.clone(),
            request_uri: call.request_uri.clone(),
            source_ip: call.source.map(|(ip, _)| ip.to_string()),
            source_port: call.source.map(|(_, port)| port),
            allowed: call.allowed,
            reason: call.reason.map(Reason::name),
            limit: refused.map(|refused| refused.limit),
            count: refused.map(|refused| refused.count),
            retry_after_ms: refused.and_then(|refused| refused.retry_after_ms),
            generation: call.generation,
            gateway: call.gateway.clone(),
            attempts: call.attempts,
            start_at: time(call.start_ms),
            ring_at: call.ring_ms.map(time),
            answer_at: call.answer_ms.map(time),
            end_at: call.end_ms.map(time),
            duration_ms: call.duration_ms(),
            billable_seconds: call.billable_seconds(),
            ring_ms: call.ring_duration_ms(),
            sip_code: call.sip_code,
            q850_cause: call.q850,
            status: call.status.map(Status::name),
            hangup_by: call.hangup_by.map(party_name),
            cost: call.cost.map(|cost| cost.to_string()),
            currency: call.currency().map(str::to_owned),
            reconciled: call.reconciled,
        }
    }
}
