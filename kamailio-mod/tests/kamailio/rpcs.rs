//! What an operator asks the module: the calls that are up, and what a call would be told.

use crate::host::Settings;
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, talk, trunk};

#[test]
fn a_call_that_is_up_is_listed_and_gone_when_it_is_over() {
    let gateway = Phone::idle();
    let (mut site, host) = Site::start(trunk(&[gateway.address]), &Settings::default());
    let (caller, gateway) = (Phone::new(host.address), gateway.towards(host.address));
    assert!(!host.rpc("trunk.calls", "").contains("acme"));
    let up = talk(&mut site, &caller, &gateway, true);
    let listed = host.rpc("trunk.calls", "");
    assert!(listed.contains(" acme Answered ") && listed.contains("\"next\":\t\"-1\""), "{listed}");
    caller.bye(&up.call, &[]);
    gateway.expect("BYE");
    host.wait_status("calls", 0);
    assert!(!host.rpc("trunk.calls", "").contains("acme"));
}

#[test]
fn a_call_is_explained_and_nothing_is_spent() {
    let gateway = Phone::idle();
    let (mut site, host) = Site::start(trunk(&[gateway.address]), &Settings::default());
    let ask = |parameters: &str| host.rpc("trunk.explain", parameters);
    let good = ask(&format!("\"{DOMAIN}\", \"100\", \"127.0.0.1\""));
    assert!(good.contains("admitted") && good.contains("corp"), "{good}");
    assert!(good.contains(&format!("sip:{} priority 0 weight 1 Up", gateway.address)), "{good}");
    let stranger = ask(&format!("\"{DOMAIN}\", \"100\", \"192.0.2.1\", \"pbx\""));
    assert!(stranger.contains("source_denied") && stranger.contains("403"), "{stranger}");
    assert!(ask("\"nobody.example\", \"100\", \"127.0.0.1\"").contains("unknown_destination"));
    // kamcmd sends what looks like a number as one.
    let number = ask(&format!("\"{DOMAIN}\", 100, \"127.0.0.1\", \"\", \"tls\""));
    assert!(number.contains("admitted"), "{number}");
    let long = format!("\"{}\", \"b\", \"127.0.0.1\"", "a".repeat(300));
    let no_text = "\"a\", \"b\", \"127.0.0.1\", [1]";
    let no_word = "\"a\", \"b\", \"127.0.0.1\", \"\", \"yes\"";
    for wrong in ["", "\"a\"", "\"a\", \"b\"", "\"a\", \"b\", \"not an address\"", &long, no_text, no_word] {
        let answer = ask(wrong);
        assert!(answer.contains("error"), "{wrong}: {answer}");
    }
    assert_eq!((host.status("calls"), host.status("admitted"), host.status("refused")), (0, 0, 0));
    site.assert_quiet();
}
