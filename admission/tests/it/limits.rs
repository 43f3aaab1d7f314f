//! CPS and concurrency at three levels: exact, all or nothing, and with their numbers in the refusal.

use trunk_admission::model::{Account, Limits};
use trunk_admission::{Host, Proof, Reason, Verdict};

use crate::support::{Node, admitted, credential, rate, refused, table, trunk};

const HOST: &str = "acme.sip.example";
const SOURCE: &str = "203.0.113.7";
const SECOND: u64 = 1_000_000_000;

fn node(own: Limits, account: Limits, all: Limits) -> Node {
    let mut one = trunk("acme", 0, "0.0.0.0/0");
    one.limits = own;
    one.account = Some(0);
    let mut two = trunk("other", 1, "0.0.0.0/0");
    two.account = Some(0);
    let mut everything = table(vec![one, two]);
    everything.accounts.push(Account { id: "a".into(), live: 0, enabled: true, limits: account });
    everything.node = all;
    Node::with(&everything)
}

fn calls(node: &mut Node, count: usize, at: u64) -> Vec<Verdict> {
    (0..count).map(|n| node.call_at(HOST, SOURCE, &format!("{at}-{n}"), at)).collect()
}

#[test]
fn the_third_call_of_a_burst_of_two_is_refused_with_the_true_wait() {
    let own = Limits { rate: rate(2.0, 2), concurrent: None };
    let mut node = node(own, Limits::default(), Limits::default());
    let verdicts = calls(&mut node, 3, SECOND);
    admitted(verdicts[0]);
    admitted(verdicts[1]);
    let refusal = refused(verdicts[2]);
    assert_eq!(
        (refusal.reason, refusal.limit, refusal.count, refusal.wait_ms),
        (Reason::CpsExceeded, 2, 2, 500)
    );
    refused(node.call_at(HOST, SOURCE, "early", SECOND + SECOND / 2 - 1));
    admitted(node.call_at(HOST, SOURCE, "in time", SECOND + SECOND / 2));
}

#[test]
fn a_refusal_at_one_level_takes_nothing_at_another() {
    for (account, all, reason) in [
        (Limits { rate: rate(1.0, 1), concurrent: None }, Limits::default(), Reason::AccountCpsExceeded),
        (Limits { rate: None, concurrent: Some(1) }, Limits::default(), Reason::AccountConcurrencyExceeded),
        (Limits::default(), Limits { rate: rate(1.0, 1), concurrent: None }, Reason::NodeOverloaded),
        (Limits::default(), Limits { rate: None, concurrent: Some(1) }, Reason::NodeOverloaded),
    ] {
        let own = Limits { rate: rate(1.0, 5), concurrent: Some(5) };
        let mut node = node(own, account, all);
        let first = admitted(node.call_at("other.sip.example", SOURCE, "first", SECOND));
        for n in 0..20 {
            let refusal = refused(node.call_at(HOST, SOURCE, &n.to_string(), SECOND));
            assert_eq!(refusal.reason, reason);
        }
        assert_eq!(node.instance.live().trunk_calls(0), 0, "{reason:?}: no call is counted");
        assert_eq!(node.instance.live().node_calls(), 1);
        assert_eq!(node.instance.live().slots_in_use().len(), 1, "{reason:?}: no slot is held");
        // All five tokens of the trunk are still there.
        node.instance.end(first.slot, |_| {});
        let free = Limits::default();
        let mut open = table(vec![trunk("acme", 0, "0.0.0.0/0"), trunk("other", 1, "0.0.0.0/0")]);
        open.trunks[0].limits = own;
        open.node = free;
        node.publish(&open);
        for verdict in calls(&mut node, 5, SECOND) {
            admitted(verdict);
        }
        assert_eq!(refused(node.call_at(HOST, SOURCE, "x", SECOND)).reason, Reason::CpsExceeded);
    }
}

#[test]
fn one_call_freed_lets_one_in() {
    let own = Limits { rate: None, concurrent: Some(3) };
    let mut node = node(own, Limits::default(), Limits::default());
    let held: Vec<_> = calls(&mut node, 3, SECOND).into_iter().map(admitted).collect();
    let refusal = refused(node.call_at(HOST, SOURCE, "fourth", SECOND));
    assert_eq!((refusal.reason, refusal.limit, refusal.count), (Reason::ConcurrencyExceeded, 3, 3));
    assert!(node.instance.end(held[1].slot, |call| assert_eq!(call.uid, held[1].uid)));
    assert!(!node.instance.end(held[1].slot, |_| panic!("a call ends once")));
    admitted(node.call_at(HOST, SOURCE, "fifth", SECOND));
    refused(node.call_at(HOST, SOURCE, "sixth", SECOND));
    assert_eq!(node.instance.live().trunk_calls(0), 3);
}

#[test]
fn zero_admits_none_and_absent_admits_all() {
    for own in [Limits { rate: rate(0.0, 1), concurrent: None }, Limits { rate: None, concurrent: Some(0) }] {
        let mut node = node(own, Limits::default(), Limits::default());
        refused(node.call_at(HOST, SOURCE, "none", SECOND));
    }
    let mut node = node(Limits::default(), Limits::default(), Limits::default());
    calls(&mut node, 64, SECOND).into_iter().for_each(|verdict| {
        admitted(verdict);
    });
    assert_eq!(refused(node.call_at(HOST, SOURCE, "65th", SECOND)).reason, Reason::SlotsExhausted);
}

#[test]
fn nothing_is_spent_on_a_call_that_has_not_proved_itself() {
    let mut one = trunk("acme", 0, "0.0.0.0/0");
    one.auth = trunk_admission::model::AuthMode::Password;
    one.credentials.push(credential("alice"));
    one.limits = Limits { rate: rate(1.0, 1), concurrent: Some(1) };
    let mut node = Node::with(&table(vec![one]));
    let now = trunk_admission::Now { mono_ns: SECOND, wall_ms: 1 };
    for n in 0..10 {
        let host = Host::new(HOST.as_bytes());
        let attempt = node.attempt(&host, SOURCE, &n.to_string());
        let identity = node.instance.identify(&attempt).unwrap();
        assert!(matches!(node.instance.admit(&identity, &attempt, Proof::None, now), Verdict::Challenge));
        let refusal = refused(node.instance.admit(&identity, &attempt, Proof::Failed, now));
        assert_eq!(refusal.reason, Reason::BadCredentials);
    }
    let host = Host::new(HOST.as_bytes());
    let attempt = node.attempt(&host, SOURCE, "right");
    let identity = node.instance.identify(&attempt).unwrap();
    admitted(node.instance.admit(&identity, &attempt, Proof::Verified, now));
}

#[test]
fn a_new_limit_neither_forgives_a_debt_nor_grants_a_burst() {
    let with = |limits| {
        let mut one = trunk("acme", 0, "0.0.0.0/0");
        one.limits = limits;
        table(vec![one])
    };
    let mut node = Node::with(&with(Limits { rate: rate(0.1, 100), concurrent: None }));
    // The publisher reads the clock itself, so this test's calls stand on the same clock. A call drains in ten seconds:
    // a busy machine does not change what is left.
    let now = trunk_admission::Now::read().mono_ns;
    let admitted_now = |node: &mut Node, tag: &str, at| {
        let verdicts: Vec<_> =
            (0..60).map(|n| node.call_at(HOST, SOURCE, &format!("{tag}{n}"), at)).collect();
        for verdict in &verdicts {
            if let Verdict::Admitted(call) = verdict {
                node.instance.end(call.slot, |_| {});
            }
        }
        verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Admitted(_))).count()
    };
    assert_eq!(admitted_now(&mut node, "a", now), 60);
    node.publish(&with(Limits { rate: rate(0.005, 100), concurrent: None }));
    let left = admitted_now(&mut node, "b", now);
    assert!((39..=41).contains(&left), "60 of 100 are spent, {left} were left");
}
