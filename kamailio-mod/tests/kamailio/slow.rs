//! Endings that dialog finds by its clean-up timer, which runs every 90 s and cannot be set. Left out of the usual run:
//! `cargo test -p trunk-kamailio --test kamailio -- --ignored`.

use std::time::Duration;

use trunk_admission::events::{EndCause, Party};

use crate::host::{Settings, until_within};
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, talk, trunk};

/// One round of the timer, and what dialog waits after it.
const LONG: Duration = Duration::from_secs(150);

#[test]
#[ignore = "takes 100 s"]
fn the_caller_never_acknowledges() {
    let gateway = Phone::idle();
    let modparams = "modparam(\"dialog\", \"noack_timeout\", 1)".into();
    let (mut site, host) =
        Site::start(trunk(&[gateway.address]), &Settings { modparams, ..Settings::default() });
    let (caller, gateway) = (Phone::new(host.address), gateway.towards(host.address));
    let up = talk(&mut site, &caller, &gateway, false);
    until_within(LONG, "the dialog expires", || (host.status("calls") == 0).then_some(()));
    let ended = site.ended(up.uid);
    assert_eq!((ended.sip_code, ended.by, ended.cause), (200, Party::Proxy, EndCause::Expired));
    site.assert_quiet();
}

#[test]
#[ignore = "takes 90 s"]
fn dialog_gives_up_a_call_that_still_rings() {
    let gateway = Phone::idle();
    let modparams =
        "modparam(\"dialog\", \"early_timeout\", 1)\nmodparam(\"tm\", \"max_inv_lifetime\", 600000)".into();
    let (mut site, host) =
        Site::start(trunk(&[gateway.address]), &Settings { modparams, ..Settings::default() });
    let (caller, gateway) = (Phone::new(host.address), gateway.towards(host.address));
    caller.invite(&format!("sip:patient@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    let uid = site.initiated();
    until_within(LONG, "the dialog is destroyed", || (host.status("calls") == 0).then_some(()));
    let ended = site.ended(uid);
    assert_eq!((ended.sip_code, ended.by, ended.cause), (0, Party::Proxy, EndCause::TimedOut));
    site.assert_quiet();
}
