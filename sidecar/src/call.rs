//! One call as the log keeps it, and how each report from the module changes it. Pure: no clock, no SQL.
//!
//! Reports may be missing (a full ring drops, a Kamailio dies), so each one must make sense alone, and none may be
//! applied twice: an event that was there before is recognised by its sequence.

pub mod payload;
mod report;
pub mod status;

use std::net::IpAddr;

use trunk_admission::Reason;
use trunk_admission::events::Party;
use trunk_admission::model::Kind;
use uuid::Uuid;

use crate::cost::{Amount, PER_SECOND, Tariff, billed_seconds};
use crate::domain::Millis;
pub use report::{Ended, Initiated, Report};
use status::Status;

/// A call, refused ones included. Times are milliseconds since the epoch; `None` is "never" or "not known".
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Ours, a UUID v7.
    pub id: Uuid,
    /// Trunk or application.
    pub trunk: Option<String>,
    /// Owner of the trunk.
    pub account: Option<String>,
    /// What the trunk is; decides the direction.
    pub kind: Kind,
    /// The caller's Call-ID, escaped to UTF-8.
    pub sip_call_id: Option<String>,
    /// User of From.
    pub from: Option<String>,
    /// Host of From.
    pub from_host: Option<String>,
    /// User of the Request-URI or To.
    pub to: Option<String>,
    /// The Request-URI as it came.
    pub request_uri: Option<String>,
    /// Where the INVITE came from.
    pub source: Option<(IpAddr, u16)>,
    /// Whether it was admitted.
    pub allowed: bool,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// The limit that refused it.
    pub limit: u32,
    /// The count that was found.
    pub count: u32,
    /// How long until the limit would have let it pass.
    pub wait_ms: Millis,
    /// Generation of the image that judged it.
    pub generation: i64,
    /// Gateway that answered, or the last one tried.
    pub gateway: Option<String>,
    /// Gateways tried.
    pub attempts: u8,
    /// INVITE.
    pub start_ms: Millis,
    /// First ringing.
    pub ring_ms: Option<Millis>,
    /// Answer.
    pub answer_ms: Option<Millis>,
    /// End.
    pub end_ms: Option<Millis>,
    /// Final SIP status.
    pub sip_code: Option<u16>,
    /// Q.850 cause of a `Reason` header.
    pub q850: Option<u16>,
    /// Who ended it.
    pub hangup_by: Option<Party>,
    /// How it ended.
    pub status: Option<Status>,
    /// It was ended by the sweep, not by Kamailio.
    pub reconciled: bool,
    /// The rate that was there when its beginning was written down.
    pub tariff: Option<Tariff>,
    /// What it cost, in the tariff's currency; `None` while it is up, without a tariff, and if nobody knows when it ended.
    pub cost: Option<Amount>,
}

/// What a refused call is told of the limit that refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The limit; 0 if it was none.
    pub limit: u32,
    /// The count that was found.
    pub count: u32,
    /// How long until it would have passed, if that is known.
    pub retry_after_ms: Option<Millis>,
}

impl Call {
    /// Of a call that was refused: by what.
    pub fn refused(&self) -> Option<Refused> {
        let retry_after_ms = Some(self.wait_ms).filter(|wait_ms| *wait_ms > 0);
        (!self.allowed).then_some(Refused { limit: self.limit, count: self.count, retry_after_ms })
    }

    /// A call of which nothing is known yet but that something happened at `at_ms`.
    pub fn new(id: Uuid, trunk: Option<String>, at_ms: Millis) -> Call {
        Call {
            id,
            trunk,
            account: None,
            kind: Kind::Trunk,
            sip_call_id: None,
            from: None,
            from_host: None,
            to: None,
            request_uri: None,
            source: None,
            allowed: true,
            reason: None,
            limit: 0,
            count: 0,
            wait_ms: 0,
            generation: 0,
            gateway: None,
            attempts: 0,
            start_ms: at_ms,
            ring_ms: None,
            answer_ms: None,
            end_ms: None,
            sip_code: None,
            q850: None,
            hangup_by: None,
            status: None,
            reconciled: false,
            tariff: None,
            cost: None,
        }
    }

    /// Takes over one report made at `at_ms`. A call that was reconciled stays as the customer was told.
    pub fn apply(&mut self, report: &Report, at_ms: Millis) {
        if self.reconciled {
            return;
        }
        match report {
            Report::Initiated(initiated) => self.initiated(initiated, at_ms),
            Report::Answered { gateway, attempts, ring_ms } => {
                self.gateway.clone_from(gateway);
                self.attempts = *attempts;
                self.ring_ms = ring_ms.or(self.ring_ms);
                self.answer_ms = Some(at_ms);
            }
            Report::Ended(ended) => self.ended(ended),
        }
        self.price();
    }

    /// Holds the call to a rate, whatever becomes of the plan that it is from.
    pub fn begin_under(&mut self, tariff: Option<Tariff>) {
        self.tariff = tariff;
        self.price();
    }

    fn price(&mut self) {
        let Some((tariff, end_ms)) = self.tariff.as_ref().zip(self.end_ms).filter(|_| !self.reconciled)
        else {
            return;
        };
        self.cost =
            Some(self.answer_ms.map_or(Amount::ZERO, |answer_ms| tariff.rate.cost(end_ms - answer_ms)));
    }

    /// Ends a call whose Kamailio is gone: nobody knows how or when it really ended.
    pub fn reconcile(&mut self, at_ms: Millis) {
        // The clock may have been set back since.
        self.end_ms = Some(at_ms.max(self.answer_ms.or(self.ring_ms).unwrap_or(self.start_ms)));
        self.status = Some(Status::Unknown);
        self.hangup_by = Some(Party::Proxy);
        self.reconciled = true;
    }

    fn initiated(&mut self, initiated: &Initiated, at_ms: Millis) {
        self.account.clone_from(&initiated.account);
        self.kind = initiated.kind;
        self.allowed = initiated.reason.is_none();
        self.reason = initiated.reason;
        self.limit = initiated.limit;
        self.count = initiated.count;
        self.wait_ms = initiated.wait_ms;
        self.generation = initiated.generation;
        self.source = Some(initiated.source);
        self.sip_call_id = Some(initiated.sip_call_id.clone());
        self.from = Some(initiated.from.clone());
        self.from_host = Some(initiated.from_host.clone());
        self.to = Some(initiated.to.clone());
        self.request_uri = Some(initiated.request_uri.clone());
        self.start_ms = at_ms;
        if let Some(reason) = initiated.reason {
            // A refused attempt is over when it is judged.
            self.end_ms = Some(at_ms);
            self.sip_code = Some(reason.sip_code());
            self.hangup_by = Some(Party::Proxy);
            self.status = Some(Status::of_refusal(reason));
        }
    }

    fn ended(&mut self, ended: &Ended) {
        self.start_ms = ended.start_ms.unwrap_or(self.start_ms);
        self.ring_ms = ended.ring_ms.or(self.ring_ms);
        self.answer_ms = ended.answer_ms.or(self.answer_ms);
        self.end_ms = Some(ended.end_ms);
        self.sip_code = Some(ended.sip_code).filter(|&code| code != 0);
        self.q850 = ended.q850;
        self.hangup_by = Some(ended.by);
        self.gateway = ended.gateway.clone().or(self.gateway.take());
        self.attempts = ended.attempts.max(self.attempts);
        self.status = Some(Status::of_ending(ended, self.ring_ms.is_some()));
    }

    /// From INVITE to end.
    pub fn duration_ms(&self) -> Option<Millis> {
        Some((self.end_ms? - self.start_ms).max(0))
    }

    /// From ringing to answer, or to the end if nobody answered.
    pub fn ring_duration_ms(&self) -> Option<Millis> {
        Some((self.answer_ms.or(self.end_ms)? - self.ring_ms?).max(0))
    }

    /// Answered time in seconds, each begun one counted, up to a whole increment of the rate if there is one.
    pub fn billable_seconds(&self) -> Option<i64> {
        let end_ms = self.end_ms?;
        let Some(answer_ms) = self.answer_ms else { return Some(0) };
        let increments = self.tariff.as_ref().map(|tariff| (tariff.rate.first_s, tariff.rate.next_s));
        Some(billed_seconds(end_ms - answer_ms, increments.unwrap_or(PER_SECOND)))
    }

    /// ISO 4217, if it has a cost.
    pub fn currency(&self) -> Option<&str> {
        self.cost.and(self.tariff.as_ref()).map(|tariff| tariff.currency.as_str())
    }
}

/// The name of a party in events and in the store.
pub fn party_name(party: Party) -> &'static str {
    match party {
        Party::Caller => "caller",
        Party::Callee => "callee",
        Party::Proxy => "proxy",
    }
}

/// The inverse of [`party_name`].
pub fn party_from_name(name: &str) -> Option<Party> {
    [Party::Caller, Party::Callee, Party::Proxy].into_iter().find(|party| party_name(*party) == name)
}
