//! Every way a call can end: one event, one slot given back, with who ended it and why.

use trunk_admission::events::{EndCause, Ended, Party};

use crate::host::{Host, Settings};
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, Up, talk, trunk};

/// A site with one gateway, its phones, and whatever the test sets.
fn scene(modparams: &str) -> (Site, Host, Phone, Phone) {
    let gateway = Phone::idle();
    let settings = Settings { modparams: modparams.into(), ..Settings::default() };
    let (site, host) = Site::start(trunk(&[gateway.address]), &settings);
    let (caller, gateway) = (Phone::new(host.address), gateway.towards(host.address));
    (site, host, caller, gateway)
}

/// The call's end is told once, and nothing is counted any more.
fn over(site: &mut Site, host: &Host, uid: [u8; 16]) -> Ended<String> {
    let ended = site.ended(uid);
    host.wait_status("calls", 0);
    assert_eq!((host.status("ended"), host.status("underflows"), host.status("panics")), (1, 0, 0));
    site.assert_quiet();
    assert!(ended.start_wall_ms > 0 && ended.end_wall_ms >= ended.start_wall_ms);
    ended
}

fn facts(ended: &Ended<String>) -> (u16, u16, Party, EndCause) {
    (ended.sip_code, ended.q850, ended.by, ended.cause)
}

/// Kamailio's own BYEs reach both sides. They are answered only then: dialog 5.6.3 takes the first answer for the end of
/// the dialog and, when that comes before its second BYE is built, does not send that one.
fn both_are_told(caller: &Phone, gateway: &Phone) {
    let byes = [caller, gateway].map(|phone| (phone, phone.expect("BYE")));
    byes.iter().for_each(|(phone, bye)| phone.answer(bye, "200 OK", &[]));
}

#[test]
fn the_caller_hangs_up() {
    let (mut site, host, caller, gateway) = scene("");
    let Up { uid, call, .. } = talk(&mut site, &caller, &gateway, true);
    assert_eq!(host.status("calls"), 1);
    caller.bye(&call, &["Reason: SIP;cause=200, Q.850;cause=16;text=\"Bye; bye\""]);
    let bye = gateway.expect("BYE");
    gateway.answer(&bye, "200 OK", &[]);
    let ended = over(&mut site, &host, uid);
    assert_eq!(facts(&ended), (200, 16, Party::Caller, EndCause::Bye));
    assert!(ended.ring_wall_ms >= ended.start_wall_ms && ended.answer_wall_ms >= ended.ring_wall_ms);
    assert_eq!((ended.gateway, ended.attempts), (format!("sip:{}", gateway.address), 1));
}

#[test]
fn the_called_side_hangs_up() {
    let (mut site, host, caller, gateway) = scene("");
    let Up { uid, invite, .. } = talk(&mut site, &caller, &gateway, true);
    gateway.bye_back(&invite, &["Reason: Q.850;cause=31"]);
    let bye = caller.expect("BYE");
    caller.answer(&bye, "200 OK", &[]);
    assert_eq!(facts(&over(&mut site, &host, uid)), (200, 31, Party::Callee, EndCause::Bye));
}

#[test]
fn the_called_side_says_no() {
    let (mut site, host, caller, gateway) = scene("");
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "183 Session Progress", &[]);
    caller.expect("183");
    gateway.answer(&invite, "486 Busy Here", &["Reason: Q.850;cause=17"]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(486));
    let uid = site.initiated();
    let ended = over(&mut site, &host, uid);
    assert_eq!(facts(&ended), (486, 17, Party::Callee, EndCause::Rejected));
    assert!(ended.ring_wall_ms > 0 && ended.answer_wall_ms == 0);
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    let (mut site, host, caller, gateway) = scene("");
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    caller.expect("180");
    caller.cancel(&call);
    let cancel = gateway.expect("CANCEL");
    gateway.answer(&cancel, "200 OK", &[]);
    gateway.answer(&invite, "487 Request Terminated", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(487));
    let uid = site.initiated();
    assert_eq!(facts(&over(&mut site, &host, uid)), (487, 0, Party::Caller, EndCause::Cancel));
}

#[test]
fn the_caller_gives_up_and_the_gateway_never_answers_that() {
    let (mut site, host, caller, gateway) = scene("");
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    caller.expect("180");
    caller.cancel(&call);
    assert_eq!(caller.expect_final(&mut call).code(), Some(487));
    let uid = site.initiated();
    assert_eq!(facts(&over(&mut site, &host, uid)), (487, 0, Party::Caller, EndCause::Cancel));
}

#[test]
fn an_answer_that_crosses_the_cancel_ends_the_call_once() {
    let (mut site, host, caller, gateway) = scene("");
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    caller.expect("180");
    caller.cancel(&call);
    let cancel = gateway.expect("CANCEL");
    gateway.answer(&invite, "200 OK", &[]);
    gateway.answer(&cancel, "481 Too Late", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(200), "a call that was answered is answered");
    caller.ack(&call);
    caller.bye(&call, &[]);
    gateway.expect("BYE");
    let uid = site.initiated();
    site.event();
    assert_eq!(facts(&over(&mut site, &host, uid)), (200, 0, Party::Caller, EndCause::Bye));
}

#[test]
fn nobody_answers_at_all() {
    let (mut site, host, caller, gateway) = scene("");
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    gateway.expect("INVITE");
    assert_eq!(caller.expect_final(&mut call).code(), Some(408));
    let uid = site.initiated();
    assert_eq!(facts(&over(&mut site, &host, uid)), (408, 0, Party::Proxy, EndCause::TimedOut));
}

#[test]
fn it_rings_and_nobody_picks_up() {
    let (mut site, host, caller, gateway) = scene("");
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(408));
    let uid = site.initiated();
    let ended = over(&mut site, &host, uid);
    assert_eq!(facts(&ended), (408, 0, Party::Proxy, EndCause::TimedOut));
    assert!(ended.ring_wall_ms > 0);
}

#[test]
fn the_call_lasts_too_long() {
    let (mut site, host, caller, gateway) = scene("modparam(\"dialog\", \"default_timeout\", 1)");
    let Up { uid, .. } = talk(&mut site, &caller, &gateway, true);
    assert_eq!(facts(&over(&mut site, &host, uid)), (200, 0, Party::Proxy, EndCause::Expired));
}

#[test]
fn the_call_lasts_too_long_and_both_sides_are_told() {
    let params = "modparam(\"dialog\", \"default_timeout\", 1)\nmodparam(\"dialog\", \"send_bye\", 1)";
    let (mut site, host, caller, gateway) = scene(params);
    let Up { uid, .. } = talk(&mut site, &caller, &gateway, true);
    both_are_told(&caller, &gateway);
    assert_eq!(facts(&over(&mut site, &host, uid)), (200, 0, Party::Proxy, EndCause::Expired));
}

#[test]
fn an_operator_ends_it() {
    let (mut site, host, caller, gateway) = scene("");
    let Up { uid, .. } = talk(&mut site, &caller, &gateway, true);
    hang_up(&host);
    both_are_told(&caller, &gateway);
    assert_eq!(facts(&over(&mut site, &host, uid)), (200, 0, Party::Proxy, EndCause::Terminated));
}

#[test]
fn an_operator_cannot_end_a_call_that_rings_and_its_slot_stays() {
    let (mut site, host, caller, gateway) = scene("");
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    caller.expect("180");
    let uid = site.initiated();
    hang_up(&host);
    // dialog has refused, and the call still counts: it can be answered, and is hung up like any other.
    site.assert_quiet();
    assert_eq!(host.status("calls"), 1);
    gateway.answer(&invite, "200 OK", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(200));
    caller.ack(&call);
    site.event();
    caller.bye(&call, &[]);
    gateway.expect("BYE");
    assert_eq!(facts(&over(&mut site, &host, uid)), (200, 0, Party::Caller, EndCause::Bye));
}

/// Asks dialog to end the only call there is.
fn hang_up(host: &Host) {
    let list = host.rpc("dlg.list", "");
    let number = |name: &str| {
        let at = list.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {list}"));
        list[at..]
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    };
    host.rpc("dlg.end_dlg", &format!("{}, {}", number("h_entry"), number("h_id")));
}

#[test]
fn a_stop_of_kamailio_ends_a_ringing_call() {
    let (mut site, host, caller, gateway) = scene("");
    caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    caller.expect("180");
    let uid = site.initiated();
    host.stop();
    let ended = site.ended(uid);
    assert_eq!(facts(&ended), (0, 0, Party::Proxy, EndCause::Terminated));
    site.assert_quiet();
}
