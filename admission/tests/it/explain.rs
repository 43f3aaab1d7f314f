//! What is explained is what happens: the same outcome as the call that comes next, and nothing spent by asking.

use proptest::prelude::*;
use trunk_admission::explain::{By, Explainer, Explanation, LevelName, Question, Step};
use trunk_admission::live::Scope;
use trunk_admission::model::*;
use trunk_admission::{Fitness, Host, Now, Outcome, Proof, Reason, Verdict};

use crate::support::{Node, admitted, credential, gateway, rate, table, trunk};

const SECOND: u64 = 1_000_000_000;

fn now(mono_ns: u64) -> Now {
    Now { mono_ns, wall_ms: 1_000 }
}

fn ask(node: &Node, host: &str, source: &str, username: Option<&str>, mono_ns: u64) -> Explanation {
    let question = Question {
        host: host.as_bytes(),
        user: b"",
        source: source.parse().unwrap(),
        tls: false,
        username: username.map(str::as_bytes),
    };
    Explainer::open(node.dir.path()).unwrap().explain(&question, now(mono_ns)).unwrap()
}

fn reason(explanation: &Explanation) -> Option<Reason> {
    explanation.refusal.map(|refused| refused.reason)
}

#[test]
fn each_step_is_told_and_the_last_one_decided() {
    let mut one = trunk("acme", 0, "203.0.113.0/24");
    one.account = Some(3);
    one.limits = Limits { rate: rate(1.0, 2), concurrent: Some(2) };
    let mut configuration = table(vec![one]);
    configuration.accounts =
        vec![Account { id: "customer".into(), live: 3, enabled: true, limits: Limits::default() }];
    let mut node = Node::with(&configuration);
    let host = "acme.sip.example";

    let nobody = ask(&node, "other.sip.example", "203.0.113.7", None, SECOND);
    assert_eq!(
        (reason(&nobody), &nobody.steps[..]),
        (Some(Reason::UnknownDestination), &[Step::Identified(None)][..])
    );

    let stranger = ask(&node, host, "198.51.100.1", None, SECOND);
    assert_eq!(reason(&stranger), Some(Reason::SourceDenied));
    assert_eq!(stranger.steps.last(), Some(&Step::Source { listed: false }));

    let passes = ask(&node, host, "203.0.113.7", None, SECOND);
    assert_eq!((reason(&passes), passes.generation), (None, node.instance.generation()));
    assert_eq!(passes.steps[0], Step::Identified(Some(By::Domain)));
    assert_eq!(passes.steps.last(), Some(&Step::Slots { limit: 64, count: 0 }));
    let owner = passes.trunk.unwrap();
    assert_eq!((owner.id.as_str(), owner.account.as_deref()), ("acme", Some("customer")));
    assert_eq!(owner.realm, host);

    admitted(node.call_at(host, "203.0.113.7", "a", SECOND));
    admitted(node.call_at(host, "203.0.113.7", "b", SECOND));
    let full = ask(&node, host, "203.0.113.7", None, SECOND);
    let refused = full.refusal.unwrap();
    assert_eq!(
        (refused.reason, refused.limit, refused.count, refused.wait_ms),
        (Reason::CpsExceeded, 2, 2, 1000)
    );
    let told =
        Step::Rate { level: LevelName::Trunk, rate: rate(1.0, 2).unwrap(), count: 2, wait_ns: Some(SECOND) };
    assert_eq!(full.steps.last(), Some(&told));
    let later = ask(&node, host, "203.0.113.7", None, 10 * SECOND);
    assert_eq!(reason(&later), Some(Reason::ConcurrencyExceeded));
    let told = Step::Calls { level: LevelName::Trunk, limit: Some(2), count: 2 };
    assert_eq!(later.steps.last(), Some(&told));
}

#[test]
fn a_named_user_is_judged_as_if_its_password_were_right() {
    let mut one = trunk("acme", 0, "203.0.113.7/32");
    one.auth = AuthMode::All;
    one.credentials = vec![credential("alice")];
    let node = Node::with(&table(vec![one]));
    let judged = |user| reason(&ask(&node, "acme.sip.example", "203.0.113.7", user, SECOND));
    assert_eq!(judged(None), Some(Reason::Challenge));
    assert_eq!(judged(Some("alice")), None);
    assert_eq!(judged(Some("mallory")), Some(Reason::BadCredentials));
}

#[test]
fn gateways_are_listed_as_they_would_be_tried() {
    let mut one = trunk("acme", 0, "0.0.0.0/0");
    let named = |n: u32, priority, weight| gateway(&format!("sip:192.0.2.{n}"), n, priority, weight);
    one.gateways = vec![named(1, 10, 1), named(2, 10, 3), named(3, 20, 1), named(4, 5, 1)];
    let node = Node::with(&table(vec![one]));
    for _ in 0..3 {
        node.instance.gateway_result(4, Outcome::Bad, now(SECOND));
    }
    let told = ask(&node, "acme.sip.example", "203.0.113.7", None, 2 * SECOND).gateways;
    let order: Vec<_> =
        told.iter().map(|choice| (choice.uri.as_str(), choice.share, choice.fitness)).collect();
    let up = Fitness::Up;
    assert_eq!(
        order,
        [
            ("sip:192.0.2.2", 0.75, up),
            ("sip:192.0.2.1", 0.25, up),
            ("sip:192.0.2.3", 1.0, up),
            ("sip:192.0.2.4", 1.0, Fitness::Down),
        ]
    );
}

/// A trunk and account with everything that can refuse a call.
fn configuration() -> impl Strategy<Value = Table> {
    let limits = (prop::option::of((prop::bool::ANY, 1_u32..4)), prop::option::of(0_u32..4));
    let limits = limits.prop_map(|(bucket, concurrent)| Limits {
        rate: bucket.and_then(|(some, burst)| rate(if some { 1.0 } else { 0.0 }, burst)),
        concurrent,
    });
    let flags = prop::array::uniform6(prop::bool::weighted(0.8));
    let auth = prop::sample::select(vec![AuthMode::Any, AuthMode::All, AuthMode::Password, AuthMode::Ip]);
    (limits.clone(), limits.clone(), limits, flags, auth).prop_map(|(own, account, node, flags, auth)| {
        let [enabled, account_enabled, region, listed, users, owned] = flags;
        let mut one = trunk("acme", 0, "203.0.113.0/24");
        (one.enabled, one.auth, one.limits) = (enabled, auth, own);
        one.account = owned.then_some(3);
        one.regions = (!region).then(|| vec!["DE".parse().unwrap()]);
        one.sources.truncate(usize::from(listed));
        one.credentials = if users { vec![credential("alice")] } else { vec![] };
        let mut configuration = table(vec![one]);
        configuration.node = node;
        configuration.accounts =
            vec![Account { id: "customer".into(), live: 3, enabled: account_enabled, limits: account }];
        configuration
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_next_call_gets_what_was_explained(
        configuration in configuration(),
        calls in prop::collection::vec((prop::bool::ANY, prop::bool::ANY, 0_u64..3), 1..8),
    ) {
        let mut node = Node::with(&configuration);
        let mut mono_ns = SECOND;
        for (index, (known_source, with_user, pause)) in calls.into_iter().enumerate() {
            mono_ns += pause * SECOND / 2;
            let source = if known_source { "203.0.113.7" } else { "198.51.100.1" };
            let username = with_user.then_some("alice");
            let before = node.instance.live().line_view(Scope::Trunk(0), None, mono_ns);
            let told = ask(&node, "acme.sip.example", source, username, mono_ns);
            prop_assert_eq!(node.instance.live().line_view(Scope::Trunk(0), None, mono_ns), before, "asking is free");

            let call = format!("call {index}");
            let host = Host::new(b"acme.sip.example");
            let attempt = node.attempt(&host, source, &call);
            let happened = match node.instance.identify(&attempt) {
                Err(barred) => Some(barred.reason.into()),
                Ok(identity) => {
                    let known = node.instance.credential(&identity, b"alice").is_some();
                    let proof = match (with_user && identity.needs_password, known) {
                        (false, _) => Proof::None,
                        (true, true) => Proof::Verified,
                        (true, false) => Proof::Failed,
                    };
                    match node.instance.admit(&identity, &attempt, proof, now(mono_ns)) {
                        Verdict::Admitted(_) => None,
                        Verdict::Refused(refusal) => Some(refusal),
                        Verdict::Challenge => {
                            prop_assert_eq!(reason(&told), Some(Reason::Challenge));
                            continue;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            };
            prop_assert_eq!(told.refusal, happened);
        }
    }
}

#[test]
fn a_refusal_by_the_nodes_own_limit_is_the_last_that_is_told_and_one_by_the_slots_too() {
    let host = "acme.sip.example";
    let mut configuration = table(vec![trunk("acme", 0, "0.0.0.0/0")]);
    configuration.node = Limits { rate: None, concurrent: Some(1) };
    let mut node = Node::with(&configuration);
    admitted(node.call_at(host, "203.0.113.7", "first", SECOND));
    let full = ask(&node, host, "203.0.113.7", None, SECOND);
    let by_node = Step::Calls { level: LevelName::Node, limit: Some(1), count: 1 };
    assert_eq!((reason(&full), full.steps.last()), (Some(Reason::NodeOverloaded), Some(&by_node)));

    // More than there are slots.
    configuration.node.concurrent = Some(1_000);
    node.publish(&configuration);
    (1..64).for_each(|call| _ = admitted(node.call_at(host, "203.0.113.7", &call.to_string(), SECOND)));
    let full = ask(&node, host, "203.0.113.7", None, SECOND);
    let by_slots = Step::Slots { limit: 64, count: 64 };
    assert_eq!((reason(&full), full.steps.last()), (Some(Reason::SlotsExhausted), Some(&by_slots)));
}
