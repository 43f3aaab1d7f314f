//! From gateway to gateway: which answers go on, which end the call, and what is left to say at the end.

use trunk_admission::events::{Body, EndCause, Party};
use trunk_admission::model::{FailoverCodes, Trunk};

use crate::host::{Host, Settings};
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, trunk};

fn scene(change: impl FnOnce(&mut Trunk)) -> (Site, Host, Phone, [Phone; 2]) {
    let gateways = [Phone::idle(), Phone::idle()];
    let mut two = trunk(&[gateways[0].address, gateways[1].address]);
    change(&mut two);
    let (site, host) = Site::start(two, &Settings::default());
    let (address, caller) = (host.address, Phone::new(host.address));
    (site, host, caller, gateways.map(|gateway| gateway.towards(address)))
}

#[test]
fn a_gateway_that_cannot_is_replaced_by_the_next() {
    let (mut site, host, caller, [first, second]) = scene(|_| {});
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = first.expect("INVITE");
    first.answer(&invite, "503 Service Unavailable", &[]);
    let invite = second.expect("INVITE");
    assert_eq!(invite.start, format!("INVITE sip:100@{} SIP/2.0", second.address));
    second.answer(&invite, "200 OK", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(200));
    caller.ack(&call);
    let uid = site.initiated();
    let event = site.event();
    let Body::Answered(answered) = event.body else { panic!("{event:?}") };
    assert_eq!((answered.gateway, answered.attempts), (format!("sip:{}", second.address), 2));
    caller.bye(&call, &[]);
    second.expect("BYE");
    let ended = site.ended(uid);
    assert_eq!((ended.sip_code, ended.attempts, ended.cause), (200, 2, EndCause::Bye));
    host.wait_status("calls", 0);
}

#[test]
fn a_gateway_that_is_silent_is_replaced_too() {
    let (mut site, host, caller, [first, second]) = scene(|_| {});
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    first.expect("INVITE");
    let invite = second.expect("INVITE");
    second.answer(&invite, "404 Not Found", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(404));
    let uid = site.initiated();
    let ended = site.ended(uid);
    assert_eq!((ended.sip_code, ended.attempts, ended.by), (404, 2, Party::Callee));
    assert_eq!(ended.gateway, format!("sip:{}", second.address));
    host.wait_status("calls", 0);
}

#[test]
fn when_none_is_left_the_caller_hears_the_best_answer() {
    let (mut site, host, caller, [first, second]) = scene(|_| {});
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    for gateway in [&first, &second] {
        let invite = gateway.expect("INVITE");
        gateway.answer(&invite, "503 Service Unavailable", &[]);
    }
    let code = caller.expect_final(&mut call).code();
    let uid = site.initiated();
    let ended = site.ended(uid);
    assert_eq!(Some(ended.sip_code), code, "what the caller heard is what is reported");
    assert_eq!(ended.attempts, 2);
    host.wait_status("calls", 0);
}

#[test]
fn an_answer_that_is_not_on_the_list_is_final() {
    let (mut site, _host, caller, [first, _second]) =
        scene(|trunk| trunk.failover = FailoverCodes::from_codes(&[500]).expect("a code"));
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = first.expect("INVITE");
    first.answer(&invite, "480 Temporarily Unavailable", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(480));
    let uid = site.initiated();
    assert_eq!(site.ended(uid).attempts, 1);
}

#[test]
fn a_cancelled_call_goes_nowhere_else() {
    let (mut site, _host, caller, [first, _second]) =
        scene(|trunk| trunk.failover = FailoverCodes::from_codes(&[487, 503]).expect("codes"));
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = first.expect("INVITE");
    first.answer(&invite, "180 Ringing", &[]);
    caller.expect("180");
    caller.cancel(&call);
    first.expect("CANCEL");
    first.answer(&invite, "503 Service Unavailable", &[]);
    caller.expect_final(&mut call);
    let uid = site.initiated();
    let ended = site.ended(uid);
    assert_eq!((ended.attempts, ended.by, ended.cause), (1, Party::Caller, EndCause::Cancel));
}
