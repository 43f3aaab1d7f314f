//! A panic in any function that Kamailio calls: the process lives, the call gets the fail mode's answer, it is counted.
//! Only in a build with the feature `panic-points`.

use std::time::Duration;

use crate::host::{Host, Settings, until};
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, trunk};

fn settings(at: &str, fail_mode: &'static str) -> Settings {
    let modparams = format!("modparam(\"trunk\", \"panic_at\", \"{at}\")\n");
    Settings { fail_mode, modparams, ..Settings::default() }
}

/// Starts with a panic at `at`, lets one call try its luck, and returns its final answer, if it got one.
fn try_call(at: &str, fail_mode: &'static str) -> Option<u16> {
    let gateway = Phone::idle();
    let (_site, mut host) = Site::start(trunk(&[gateway.address]), &settings(at, fail_mode));
    let caller = Phone::new(host.address);
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let code = caller.try_final(&mut call, Duration::from_secs(2)).and_then(|answer| answer.code());
    until(&format!("a panic at {at} is counted"), || (host.status("panics") > 0).then_some(()));
    assert!(host.is_alive());
    assert!(host.log().contains(&format!("{at}: internal error")), "{}", host.log());
    code
}

#[test]
fn a_broken_decision_answers_with_the_fail_mode() {
    assert_eq!(try_call("trunk_admit", "closed"), Some(599), "refused, with nothing to say");
    assert_eq!(try_call("trunk_admit", "open"), Some(299), "passed");
}

#[test]
fn a_broken_route_is_no_route() {
    assert_eq!(try_call("trunk_route", "closed"), Some(599));
}

#[test]
fn broken_callbacks_do_no_harm() {
    for at in ["script_done", "dialog_created", "tm_event", "pv_get_trunk"] {
        try_call(at, "closed");
    }
}

#[test]
fn a_broken_ending_leaves_the_proxy_alive() {
    let gateway = Phone::idle();
    let (_site, mut host) = Site::start(trunk(&[gateway.address]), &settings("dialog_event", "closed"));
    let (caller, gateway) = (Phone::new(host.address), gateway.towards(host.address));
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "486 Busy Here", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(486), "SIP goes on");
    until("it is counted", || (host.status("panics") > 0).then_some(()));
    assert!(host.is_alive());
}

#[test]
fn a_broken_failover_passes_the_answer_on() {
    let gateways = [Phone::idle(), Phone::idle()];
    let two = trunk(&[gateways[0].address, gateways[1].address]);
    let (_site, mut host) = Site::start(two, &settings("trunk_next", "closed"));
    let caller = Phone::new(host.address);
    let [first, _second] = gateways.map(|gateway| gateway.towards(host.address));
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = first.expect("INVITE");
    first.answer(&invite, "503 Service Unavailable", &[]);
    // tm turns a 503 from afar into a 500 of its own, by default.
    assert_eq!(caller.expect_final(&mut call).code(), Some(500));
    assert!(host.is_alive());
}

#[test]
fn a_broken_status_is_an_rpc_fault() {
    let (_site, mut host) = Site::start(trunk(&[]), &settings("rpc_status", "closed"));
    let answer = host.rpc("trunk.status", "");
    assert!(!answer.contains("generation"), "{answer}");
    assert!(host.is_alive());
}

#[test]
fn a_start_that_breaks_is_refused() {
    for at in ["mod_init", "child_init"] {
        let site = Site::empty();
        let log = Host::refused(site.dir(), &settings(at, "closed"));
        assert!(log.contains(&format!("{at}: internal error")), "{log}");
    }
}

#[test]
fn a_stop_that_breaks_still_stops() {
    let (_site, host) = Site::start(trunk(&[]), &settings("mod_destroy", "closed"));
    host.stop();
}
