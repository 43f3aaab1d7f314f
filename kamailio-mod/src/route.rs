//! `trunk_route()` and `trunk_next()`: points the request at a gateway, and at another one when that failed.
//!
//! Which gateway is the core's choice. It must never change the user part of the Request-URI, nor send a call to a name:
//! Kamailio would look it up while everybody waits.

use trunk_admission::events::{EndCause, Party};
use trunk_admission::{Identity, Now, Outcome, Reason, SlotRef};

use crate::ending::{self, How};
use crate::judgement::{Judgement, uuid};
use crate::log::{self, Kind, Level};
use crate::msg::SipMsg;
use crate::process::{self, Process};
use crate::ready::FailedAttempt;
use crate::text::Text;
use crate::uri::Uri;
use crate::verdict::{Next, Route};
use crate::{admit, sys};

static MISUSED: Kind = Kind::new();
static UNUSABLE: Kind = Kind::new();

/// The script function for the request route. Without a gateway the call is over: its ending is reported, its slot free.
pub(crate) fn trunk_route(msg: *mut sys::sip_msg) -> Route {
    // SAFETY: Kamailio hands over the message of the running route.
    let Some(msg) = (unsafe { SipMsg::new(msg) }) else { return Route::NoGateway };
    let routed = process::with(|process| {
        let judgement = &process.judgement;
        let own = judgement.key == msg.key() && !judgement.again;
        let Some(slot) = judgement.slot.filter(|_| own) else {
            log::line(
                Level::Error,
                &MISUSED,
                format_args!("trunk_route() is for calls that trunk_admit() answered with 1"),
            );
            return Route::NoGateway;
        };
        if !process.judgement.bound {
            // No dialog of its own: the script forgot `dlg_manage()`, or dialog took the INVITE for a spiral of a call
            // that has the same Call-ID and From tag. Nobody would hear of its end, so it must not go on.
            process.judgement.slot = None;
            ending::end(
                process,
                slot,
                How { sip_code: 482, q850: 0, by: Party::Proxy, cause: EndCause::Terminated },
            );
            return Route::Unbound;
        }
        if next_gateway(process, msg, slot) {
            return Route::Routed;
        }
        process.judgement.reason = Some(Reason::NoRoute);
        let sip_code = Reason::NoRoute.sip_code();
        ending::end(process, slot, How { sip_code, q850: 0, by: Party::Proxy, cause: EndCause::NoRoute });
        Route::NoGateway
    });
    routed.unwrap_or(Route::NoGateway)
}

/// The script function for the failure route.
pub(crate) fn trunk_next(msg: *mut sys::sip_msg) -> Next {
    // SAFETY: Kamailio hands over the copy of the request that the failure route runs on.
    let Some(msg) = (unsafe { SipMsg::new(msg) }) else { return Next::NoneLeft };
    let routed = process::with(|process| {
        let judgement = &process.judgement;
        let here = judgement.key == msg.key();
        let (Some(slot), Some(failed)) = (judgement.slot.filter(|_| here), judgement.failed.filter(|_| here))
        else {
            log::line(
                Level::Error,
                &MISUSED,
                format_args!("trunk_next() is for failure routes of admitted calls"),
            );
            return Next::NoneLeft;
        };
        let Some(identity) = identity_of(process, slot) else { return Next::NoneLeft };
        if failed.cancelled
            || !(failed.local || process.instance.failover_codes(&identity).contains(failed.code))
        {
            return Next::NotFailover;
        }
        if next_gateway(process, msg, slot) { Next::Routed } else { Next::NoneLeft }
    });
    routed.unwrap_or(Next::NoneLeft)
}

/// All branches of one attempt have failed; the failure route, if there is one, follows in this process.
pub(crate) fn attempt_failed(
    process: &mut Process,
    request: SipMsg<'_>,
    slot: SlotRef,
    failed: FailedAttempt,
) {
    let Some(call) = process.instance.call(slot) else { return };
    process.instance.message_is_over();
    admit::refresh(process);
    if let Some(outcome) = outcome_of(failed) {
        process.instance.gateway_result(call.gateway_live, outcome, Now::read());
    }
    let names =
        process.instance.identity_of(call.trunk_live).map(|identity| process.instance.names(&identity));
    let mut judgement = Judgement {
        key: request.key(),
        slot: Some(slot),
        bound: true,
        failed: Some(failed),
        generation: u64::from(process.instance.generation()),
        uid: uuid(call.uid),
        attempts: call.attempts,
        ..Judgement::NONE
    };
    if let Some(names) = names {
        judgement.trunk = Text::new(names.trunk.as_bytes()).unwrap_or(Text::EMPTY);
        judgement.account = Text::new(names.account.as_bytes()).unwrap_or(Text::EMPTY);
    }
    if let Some(identity) = process.instance.identity_of(call.trunk_live) {
        let uri = process.instance.gateway_uri(&identity, call.gateway_live);
        judgement.gateway = Text::new(uri.as_bytes()).unwrap_or(Text::EMPTY);
    }
    process.judgement = judgement;
}

/// What an attempt says about its gateway: nothing when the caller gave up.
fn outcome_of(failed: FailedAttempt) -> Option<Outcome> {
    match failed {
        FailedAttempt { cancelled: true, .. } => None,
        FailedAttempt { local: true, .. } | FailedAttempt { code: 500 | 502 | 503 | 504, .. } => {
            Some(Outcome::Bad)
        }
        _ => Some(Outcome::Good),
    }
}

fn identity_of(process: &Process, slot: SlotRef) -> Option<Identity> {
    process.instance.identity_of(process.instance.call(slot)?.trunk_live)
}

/// Takes the call's next gateway and points the request at it. A gateway whose URI does not fit is passed over.
///
/// Asked again in the same route, it is because the request could not be sent to the gateway of before.
fn next_gateway(process: &mut Process, msg: SipMsg<'_>, slot: SlotRef) -> bool {
    if let Some(unreachable) = process.judgement.pointed.take() {
        process.instance.gateway_result(unreachable, Outcome::Bad, Now::read());
    }
    let (Some(identity), Some(uri)) = (identity_of(process, slot), Uri::parse(msg.request_uri())) else {
        return false;
    };
    while let Some(target) = process.instance.route(&identity, slot) {
        let gateway = target.uri();
        let pointed = is_address(target.next_hop())
            && uri
                .at_gateway(gateway)
                .is_some_and(|to| msg.set_next_hop(target.next_hop()) && msg.set_request_uri(to.bytes()));
        if pointed {
            process.judgement.gateway = Text::new(gateway).unwrap_or(Text::EMPTY);
            process.judgement.pointed = Some(target.live);
            process.judgement.attempts = target.attempt;
            return true;
        }
        log::line(
            Level::Warn,
            &UNUSABLE,
            format_args!(
                "a gateway was passed over: its URI does not fit this request, or leads to no address"
            ),
        );
    }
    false
}

/// Whether a URI (`sip:host[:port][;…]`) leads to an address, so that nobody has to look anything up.
pub(crate) fn is_address(uri: &[u8]) -> bool {
    let place = uri.strip_prefix(b"sip:").unwrap_or_default();
    let end = place.iter().position(|byte| matches!(byte, b':' | b';')).unwrap_or(place.len());
    let digits = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    place.first() == Some(&b'[') || (end > 0 && place[..end].iter().all(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_address() {
        for address in ["sip:192.0.2.1", "sip:192.0.2.1:5070;transport=tcp", "sip:[2001:db8::1]:5060"] {
            assert!(is_address(address.as_bytes()), "{address}");
        }
        for name in ["sip:gw.example.net", "sip:3cx.example.net:5060", "sip:", "", "192.0.2.1"] {
            assert!(!is_address(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_gateway_is_blamed_for_silence_and_for_its_own_trouble_only() {
        let outcome = |code, local, cancelled| outcome_of(FailedAttempt { code, local, cancelled });
        assert_eq!(outcome(408, true, false), Some(Outcome::Bad));
        assert_eq!(outcome(503, false, false), Some(Outcome::Bad));
        assert_eq!(outcome(486, false, false), Some(Outcome::Good));
        assert_eq!(outcome(408, false, false), Some(Outcome::Good), "a far side's own timeout");
        assert_eq!(outcome(487, false, true), None);
        assert_eq!(outcome(408, true, true), None);
    }
}
