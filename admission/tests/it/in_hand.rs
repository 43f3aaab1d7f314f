//! What an instance keeps between the steps of one decision, and that it never takes it for another call's, or for still true.

use trunk_admission::model::Table;
use trunk_admission::{Attempt, Host, Now, Proof, Verdict};

use crate::support::{Node, admitted, gateway, table, trunk};

const HOST: &str = "acme.sip.example";
const SOURCE: &str = "203.0.113.7";
const NOW: Now = Now { mono_ns: 1_000_000_000, wall_ms: 1 };

fn two_gateways() -> Table {
    let mut one = trunk("acme", 0, "0.0.0.0/0");
    one.gateways = vec![gateway("sip:192.0.2.1", 0, 1, 1), gateway("sip:192.0.2.2", 1, 2, 1)];
    table(vec![one])
}

#[test]
fn of_two_calls_that_were_looked_for_each_is_found_again_and_goes_on_from_where_it_was() {
    let mut node = Node::with(&two_gateways());
    let host = Host::new(HOST.as_bytes());
    // Most pairs of calls have no window of slots in common.
    for number in 0..16 {
        let [one, other] =
            ["one", "other"].map(|call| node.attempt(&host, SOURCE, &format!("{call} {number}")));
        let identity = node.instance.identify(&one).unwrap();
        node.instance.identify(&other).unwrap();
        let mut judge = |attempt: &Attempt<'_>| node.instance.admit(&identity, attempt, Proof::None, NOW);
        let first = admitted(judge(&one));
        assert!(
            matches!(judge(&one), Verdict::Again(again) if again == first),
            "it stands where it is looked for"
        );

        let target = node.instance.route(&identity, first.slot).unwrap();
        assert_eq!((target.live, target.attempt), (0, 1));
        let second = admitted(node.instance.admit(&identity, &other, Proof::None, NOW));
        let target = node.instance.route(&identity, first.slot).unwrap();
        assert_eq!((target.live, target.attempt), (1, 2), "another call was admitted meanwhile");
        for call in [first, second] {
            assert!(node.instance.end(call.slot, |_| {}));
        }
    }
}

#[test]
fn what_another_process_tried_while_no_message_was_in_hand_is_not_tried_again() {
    let mut node = Node::with(&two_gateways());
    let call = admitted(node.call_at(HOST, SOURCE, "a", NOW.mono_ns));
    node.instance.message_is_over();
    let mut other = node.worker();
    for (instance, expected) in [(&mut other, (0, 1)), (&mut node.instance, (1, 2))] {
        let identity = instance.identity_of(0).unwrap();
        let target = instance.route(&identity, call.slot).unwrap();
        assert_eq!((target.live, target.attempt), expected);
    }
}
