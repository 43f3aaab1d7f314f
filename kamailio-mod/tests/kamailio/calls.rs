//! Admission: what passes, what is refused and how, and what happens without a table.

use trunk_admission::events::{Body, EndCause, Party};
use trunk_admission::model::Limits;
use trunk_admission::{Rate, Reason};

use crate::host::{Host, Settings};
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, talk, trunk};

#[test]
fn a_table_that_comes_later_is_picked_up() {
    let mut site = Site::empty();
    let host = Host::start(site.dir(), &Settings::default());
    host.wait_log("no table yet; calls are refused with 503");
    let (caller, gateway) = (Phone::new(host.address), Phone::new(host.address));
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let answer = caller.expect_final(&mut call);
    assert_eq!((answer.code(), answer.one("X-Why").split(' ').next()), (Some(503), Some("no_data")));
    let event = site.event();
    let Body::Initiated(refused) = event.body else { panic!("{event:?}") };
    assert_eq!((refused.reason, refused.generation), (Some(Reason::NoData), 0));
    assert_eq!(refused.request_uri, format!("sip:100@{DOMAIN}"));

    site.publish(trunk(&[gateway.address]));
    host.wait_status("generation", 1);
    // The file is looked for ten times a second; the first call after that finds it.
    crate::host::until("a worker finds the table", || {
        let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
        let event = site.event();
        let Body::Initiated(judged) = event.body else { panic!("{event:?}") };
        if judged.reason.is_some() {
            caller.expect_final(&mut call);
            return None;
        }
        let invite = gateway.expect("INVITE");
        gateway.answer(&invite, "486 Busy Here", &[]);
        assert_eq!(caller.expect_final(&mut call).code(), Some(486));
        Some(())
    });
}

#[test]
fn fail_mode_open_lets_unjudged_calls_pass_and_takes_nothing() {
    let mut site = Site::empty();
    let host = Host::start(site.dir(), &Settings { fail_mode: "open", ..Settings::default() });
    let caller = Phone::new(host.address);
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    assert_eq!(caller.expect_final(&mut call).code(), Some(299));
    assert_eq!(host.status("calls"), 0);
    site.assert_quiet();
}

#[test]
fn an_admitted_call_reaches_the_gateway_and_is_counted_once() {
    let gateway = Phone::idle();
    let (mut site, host) = Site::start(trunk(&[gateway.address]), &Settings::default());
    let (caller, gateway_port) = (Phone::new(host.address), gateway.address);
    let mut call = caller.invite(&format!("sip:+1555;phone-context=x@{DOMAIN};user=phone"));
    let invite = gateway.expect("INVITE");
    assert_eq!(invite.start, format!("INVITE sip:+1555;phone-context=x@{gateway_port};user=phone SIP/2.0"));
    let seen: Vec<_> = invite.one("X-Gateway").split(' ').collect();
    assert_eq!(
        (seen[0], seen[1], seen[3], seen[4]),
        (format!("sip:{gateway_port}").as_str(), "1", "acme", "corp")
    );
    assert_eq!(host.status("calls"), 1);

    caller.repeat(&call);
    caller.merge(&mut call);
    assert_eq!(caller.expect_final(&mut call).code(), Some(482), "the same call by another path");
    assert_eq!(host.status("calls"), 1, "and it is still one call");
    gateway.answer(&invite, "603 Decline", &[]);
    host.wait_status("calls", 0);
    let uid = site.initiated();
    let ended = site.ended(uid);
    assert_eq!((ended.sip_code, ended.by, ended.cause), (603, Party::Callee, EndCause::Rejected));
}

#[test]
fn refusals_say_why_and_take_nothing() {
    let gateway = Phone::idle();
    let mut limited = trunk(&[gateway.address]);
    limited.limits =
        Limits { rate: Some(Rate::per_second(0.01, Some(1)).expect("a rate")), concurrent: None };
    let (mut site, host) = Site::start(limited, &Settings::default());
    let caller = Phone::new(host.address);
    let why = |uri: &str| {
        let mut call = caller.invite(uri);
        let answer = caller.expect_final(&mut call);
        (answer.code().expect("a code"), answer.one("X-Why").to_owned())
    };
    let (code, text) = why("sip:100@nobody.sip.example.net");
    assert_eq!((code, text.as_str()), (404, "unknown_destination <null> <null> <null> <null>"));
    let (code, _) = why("tel:+15550100");
    assert_eq!(code, 404, "no SIP URI names no trunk");
    for _ in 0..2 {
        site.event();
    }
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    let (code, text) = why(&format!("sip:100@{DOMAIN}"));
    assert_eq!(code, 503);
    assert!(text.starts_with("cps_exceeded acme 1 "), "{text}");
    let after: u32 = text.split(' ').next_back().expect("Retry-After").parse().expect("a number");
    assert!((90..=100).contains(&after), "one call in 100 s: {text}");
    assert_eq!(host.status("calls"), 1);
    gateway.answer(&invite, "480 Gone", &[]);
    caller.expect_final(&mut call);
    host.wait_status("calls", 0);

    let mut denied = trunk(&[gateway.address]);
    denied.sources = vec!["192.0.2.0/24".parse().expect("a network")];
    site.publish(denied.clone());
    assert_eq!(why(&format!("sip:100@{DOMAIN}")), (403, "source_denied acme <null> <null> <null>".into()));
    denied.sources.clear();
    site.publish(denied);
    assert_eq!(why(&format!("sip:100@{DOMAIN}")).1, "no_auth_configured acme <null> <null> <null>");
}

#[test]
fn one_call_too_many_is_refused_until_another_ends() {
    let gateway = Phone::idle();
    let mut one = trunk(&[gateway.address]);
    one.limits.concurrent = Some(1);
    let (mut site, host) = Site::start(one, &Settings::default());
    let (caller, gateway) = (Phone::new(host.address), gateway.towards(host.address));
    let up = talk(&mut site, &caller, &gateway, true);
    let mut second = caller.invite(&format!("sip:100@{DOMAIN}"));
    let answer = caller.expect_final(&mut second);
    assert_eq!((answer.code(), answer.one("X-Why")), (Some(503), "concurrency_exceeded acme 1 1 1"));
    site.event();
    caller.bye(&up.call, &[]);
    gateway.expect("BYE");
    site.ended(up.uid);
    talk(&mut site, &caller, &gateway, true);
}

#[test]
fn a_route_that_forgets_the_dialog_gives_the_slot_back() {
    let (mut site, host) =
        Site::start(trunk(&["127.0.0.1:9".parse().expect("an address")]), &Settings::default());
    let caller = Phone::new(host.address);
    let mut call = caller.invite(&format!("sip:forget@{DOMAIN}"));
    assert_eq!(caller.expect_final(&mut call).code(), Some(500));
    let uid = site.initiated();
    let ended = site.ended(uid);
    assert_eq!((ended.by, ended.cause, ended.sip_code), (Party::Proxy, EndCause::Terminated, 0));
    assert_eq!(host.status("calls"), 0);
    host.wait_log("a route ended without dlg_manage()");
}

#[test]
fn without_a_gateway_the_call_is_over_at_once() {
    let (mut site, host) = Site::start(trunk(&[]), &Settings::default());
    let caller = Phone::new(host.address);
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let answer = caller.expect_final(&mut call);
    assert_eq!((answer.code(), answer.one("X-Why").split(' ').next()), (Some(503), Some("no_route")));
    let uid = site.initiated();
    let ended = site.ended(uid);
    assert_eq!((ended.sip_code, ended.by, ended.cause), (503, Party::Proxy, EndCause::NoRoute));
    assert_eq!(host.status("calls"), 0);
    site.assert_quiet();
}

#[test]
fn wrong_parameters_and_missing_modules_are_all_named_at_start() {
    let site = Site::empty();
    let modparams = "modparam(\"trunk\", \"slots\", 3)\nmodparam(\"trunk\", \"ring_cells\", 1000)\n".into();
    let log = Host::refused(site.dir(), &Settings { fail_mode: "perhaps", modparams, ..Settings::default() });
    for line in [
        "modparam \"fail_mode\": \"perhaps\" is neither \"closed\" nor \"open\"",
        "modparam \"slots\": 3 is not in 16 to 16777216",
        "modparam \"ring_cells\": 1000 is no power of two",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    let log = Host::refused(site.dir(), &Settings { without: &["dialog"], ..Settings::default() });
    assert!(log.contains("load dialog.so before trunk.so"), "{log}");
}
