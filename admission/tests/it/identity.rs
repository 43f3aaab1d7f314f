//! Whose call it is and what it must prove: every row of the auth matrix, every way to be found.

use trunk_admission::model::{Account, AuthMode, Kind, Limits};
use trunk_admission::{Host, Reason, Verdict};

use crate::support::{Node, credential, table, trunk};

const LISTED: &str = "203.0.113.7";
const OTHER: &str = "198.51.100.1";

/// `Ok(needs a password)` or the reason.
fn outcome(node: &Node, host: &str, source: &str) -> Result<bool, Reason> {
    node.identify(host, source).map(|identity| identity.needs_password).map_err(|barred| barred.reason)
}

#[test]
fn every_row_of_the_auth_matrix() {
    use AuthMode::*;
    use Reason::*;
    // mode, addresses?, credentials?, from a listed address, from another one
    let rows = [
        (Any, true, true, Ok(false), Ok(true)),
        (Any, true, false, Ok(false), Err(SourceDenied)),
        (Any, false, true, Ok(true), Ok(true)),
        (Any, false, false, Err(NoAuthConfigured), Err(NoAuthConfigured)),
        (All, true, true, Ok(true), Err(SourceDenied)),
        (All, true, false, Err(NoAuthConfigured), Err(NoAuthConfigured)),
        (All, false, true, Err(NoAuthConfigured), Err(NoAuthConfigured)),
        (All, false, false, Err(NoAuthConfigured), Err(NoAuthConfigured)),
        (Password, true, true, Ok(true), Ok(true)),
        (Password, true, false, Err(NoAuthConfigured), Err(NoAuthConfigured)),
        (Password, false, true, Ok(true), Ok(true)),
        (Password, false, false, Err(NoAuthConfigured), Err(NoAuthConfigured)),
        (Ip, true, true, Ok(false), Err(SourceDenied)),
        (Ip, true, false, Ok(false), Err(SourceDenied)),
        (Ip, false, true, Err(NoAuthConfigured), Err(NoAuthConfigured)),
        (Ip, false, false, Err(NoAuthConfigured), Err(NoAuthConfigured)),
    ];
    for (mode, sources, credentials, listed, other) in rows {
        let mut one = trunk("acme", 0, "203.0.113.0/24");
        one.auth = mode;
        if !sources {
            one.sources.clear();
        }
        if credentials {
            one.credentials.push(credential("alice"));
        }
        let node = Node::with(&table(vec![one]));
        let row = format!("{mode:?} sources {sources} credentials {credentials}");
        assert_eq!(outcome(&node, "acme.sip.example", LISTED), listed, "{row}, listed");
        assert_eq!(outcome(&node, "acme.sip.example", OTHER), other, "{row}, other");
    }
}

#[test]
fn a_trunk_is_found_by_its_domain_in_any_case_and_by_nothing_like_it() {
    let node = Node::with(&table(vec![trunk("acme", 0, "0.0.0.0/0"), trunk("acme-2", 1, "0.0.0.0/0")]));
    assert_eq!(outcome(&node, "ACME.Sip.Example", OTHER), Ok(false));
    let long = "a".repeat(300);
    for host in [
        "acm.sip.example",
        "acme.sip.example.",
        "acme",
        "",
        ".sip.example",
        "acme.sip.exampl",
        "xacme.sip.example",
        &long,
    ] {
        assert_eq!(outcome(&node, host, OTHER), Err(Reason::UnknownDestination), "{host}");
    }
}

#[test]
fn the_bare_domain_belongs_to_the_only_trunk_with_the_longest_prefix() {
    let mut shared = trunk("shared", 2, "10.0.0.0/8");
    shared.sources.push("172.16.0.0/12".parse().unwrap());
    let node = Node::with(&table(vec![
        trunk("wide", 0, "10.0.0.0/8"),
        trunk("narrow", 1, "10.1.0.0/16"),
        shared,
        trunk("six", 3, "2001:db8::/32"),
    ]));
    let found = |source| {
        let found = node.identify("sip.example", source);
        found.map(|identity| identity.trunk.live()).map_err(|barred| barred.reason)
    };
    assert_eq!(found("10.1.2.3"), Ok(1), "the longest prefix wins");
    assert_eq!(found("::ffff:10.1.2.3"), Ok(1), "a mapped address is the IPv4 address");
    assert_eq!(found("10.2.0.1"), Err(Reason::UnknownDestination), "two trunks list it");
    assert_eq!(found("172.16.5.5"), Ok(2));
    assert_eq!(found("2001:db8::1"), Ok(3));
    assert_eq!(found("192.0.2.1"), Err(Reason::UnknownDestination));
}

#[test]
fn an_application_is_found_by_its_inbound_user_alone() {
    let mut application = trunk("app", 0, "0.0.0.0/0");
    application.kind = Kind::Application;
    application.inbound_user = Some("479fbd44-3362-45f3-bb80-284f21111be4".into());
    let node = Node::with(&table(vec![application]));
    let host = Host::new(b"IN.sip.example");
    let mut attempt = node.attempt(&host, OTHER, "call");
    attempt.user = b"479fbd44-3362-45f3-bb80-284f21111be4";
    assert_eq!(node.instance.identify(&attempt).unwrap().trunk.kind(), Kind::Application);
    attempt.user = b"479FBD44-3362-45f3-bb80-284f21111be4";
    assert_eq!(node.instance.identify(&attempt).unwrap_err().reason, Reason::UnknownDestination);
}

#[test]
fn switches_regions_and_cleartext_refuse_before_any_proof() {
    let mut off = trunk("off", 0, "0.0.0.0/0");
    off.enabled = false;
    let mut nowhere = trunk("nowhere", 1, "0.0.0.0/0");
    nowhere.regions = Some(vec![]);
    let mut elsewhere = trunk("elsewhere", 2, "0.0.0.0/0");
    elsewhere.regions = Some(vec!["DE".parse().unwrap()]);
    let mut here = trunk("here", 3, "0.0.0.0/0");
    here.regions = Some(vec!["DE".parse().unwrap(), "US".parse().unwrap()]);
    let mut secure = trunk("secure", 4, "0.0.0.0/0");
    secure.secure = true;
    let mut owned = trunk("owned", 5, "0.0.0.0/0");
    owned.account = Some(3);
    let mut stray = trunk("stray", 6, "0.0.0.0/0");
    stray.account = Some(9);
    let mut all = table(vec![off, nowhere, elsewhere, here, secure, owned, stray]);
    all.accounts.push(Account { id: "a".into(), live: 3, enabled: false, limits: Limits::default() });
    let node = Node::with(&all);
    let of = |id: &str| outcome(&node, &format!("{id}.sip.example"), OTHER);
    assert_eq!(of("off"), Err(Reason::Disabled));
    assert_eq!(of("nowhere"), Err(Reason::RegionDenied));
    assert_eq!(of("elsewhere"), Err(Reason::RegionDenied));
    assert_eq!(of("here"), Ok(false));
    assert_eq!(of("secure"), Err(Reason::SourceDenied));
    assert_eq!(of("owned"), Err(Reason::Disabled), "its account is off");
    assert_eq!(of("stray"), Err(Reason::Disabled), "its account is not there");
    let host = Host::new(b"secure.sip.example");
    let mut attempt = node.attempt(&host, OTHER, "call");
    attempt.secure = true;
    assert!(node.instance.identify(&attempt).is_ok());
}

#[test]
fn credentials_belong_to_one_trunk() {
    let mut one = trunk("one", 0, "0.0.0.0/0");
    one.credentials.push(credential("alice"));
    let two = trunk("two", 1, "0.0.0.0/0");
    let node = Node::with(&table(vec![one, two]));
    let of = |host| node.identify(host, OTHER).unwrap();
    let ha1 = node.instance.credential(&of("one.sip.example"), b"alice").unwrap();
    assert_eq!((ha1.md5, ha1.sha256), ([1; 16], [2; 32]));
    assert!(node.instance.credential(&of("one.sip.example"), b"Alice").is_none());
    assert!(node.instance.credential(&of("two.sip.example"), b"alice").is_none());
}

#[test]
fn a_calls_key_is_the_same_wherever_the_call_goes() {
    let node = Node::with(&table(vec![trunk("acme", 0, "0.0.0.0/0")]));
    let key = node.instance.call_key(b"call", b"tag", 7);
    for host in [&b""[..], b"acme.sip.example", b"other.sip.example", b"elsewhere", &[b'a'; 300]] {
        assert_eq!(node.instance.call_key_to(&Host::new(host), b"call", b"tag", 7), key);
    }
}

#[test]
fn ids_of_every_length_are_told_from_what_is_like_them() {
    let lengths = [1, 7, 8, 9, 15, 16, 17, 39, 40, 41, 48, 62, 63];
    let id = |length: usize| -> String { ('a'..='z').cycle().take(length).collect() };
    let trunks = lengths.iter().zip(0..).map(|(&length, live)| trunk(&id(length), live, "0.0.0.0/0"));
    let node = Node::with(&table(trunks.collect()));
    for (&length, live) in lengths.iter().zip(0..) {
        let id = id(length);
        let found = node.identify(&format!("{}.SIP.example", id.to_uppercase()), OTHER).unwrap();
        assert_eq!((found.trunk.live(), node.instance.names(&found).trunk.as_str()), (live, id.as_str()));
        for byte in 0..length {
            let mut other = id.clone().into_bytes();
            other[byte] = b'-';
            let host = format!("{}.sip.example", String::from_utf8(other).unwrap());
            assert_eq!(outcome(&node, &host, OTHER), Err(Reason::UnknownDestination), "{host}");
        }
    }
}

#[test]
fn few_addresses_and_many_are_listed_alike() {
    for count in [0, 1, 2, 15, 16, 17, 18, 40] {
        for (twice, with_v6) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut one = trunk("acme", 0, "203.0.113.7/32");
            one.auth = AuthMode::Ip;
            let mut sources: Vec<String> = (0..count).map(|n| format!("10.0.{n}.0/24")).collect();
            sources.extend(sources.first().cloned().filter(|_| twice));
            sources.extend(with_v6.then(|| "2001:db8::/32".to_owned()));
            one.sources = sources.iter().map(|net| net.parse().unwrap()).collect();
            let mut node = Node::with(&table(vec![one.clone()]));
            let what = format!("{count} addresses, one twice: {twice}, IPv6 too: {with_v6}");
            let nobody = if one.sources.is_empty() { Reason::NoAuthConfigured } else { Reason::SourceDenied };
            for n in 0..count + 2 {
                let wanted = if n < count { Ok(false) } else { Err(nobody) };
                assert_eq!(outcome(&node, "acme.sip.example", &format!("10.0.{n}.9")), wanted, "{what}: {n}");
            }
            let wanted = if with_v6 { Ok(false) } else { Err(nobody) };
            assert_eq!(outcome(&node, "acme.sip.example", "2001:db8::1"), wanted, "{what}");
            assert_eq!(outcome(&node, "acme.sip.example", "0.0.0.0"), Err(nobody), "{what}");
            if count > 0 {
                let admitted = node.call_at("acme.sip.example", "10.0.0.1", "call", 1_000_000_000);
                let Verdict::Admitted(admission) = admitted else { panic!("{what}: {admitted:?}") };
                let identity = node.identify("acme.sip.example", "10.0.0.1").unwrap();
                let target = node.instance.route(&identity, admission.slot).unwrap();
                assert_eq!(target.uri(), one.gateways[0].uri.as_bytes(), "{what}");
            }
        }
    }
}
