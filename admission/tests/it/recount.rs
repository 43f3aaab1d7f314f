//! Calls that nobody will end although Kamailio lives, and counts that a defect has left wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};

use trunk_admission::live::{Count, Recount, SlotState};
use trunk_admission::model::{Account, Limits, Table};
use trunk_admission::{Admission, Verdict};

use crate::support::{Node, admitted, refused, table, trunk};

const HOST: &str = "acme.sip.example";
const SOURCE: &str = "203.0.113.7";
const SECOND: u64 = 1_000_000_000;
const ROUNDS: u32 = 20;

fn limited() -> Table {
    let limits = Limits { rate: None, concurrent: Some(3) };
    let mut one = trunk("acme", 5, "0.0.0.0/0");
    (one.limits, one.account) = (limits, Some(2));
    let mut all = table(vec![one]);
    all.accounts.push(Account { id: "a".into(), live: 2, enabled: true, limits });
    all
}

fn node() -> Node {
    let node = Node::with(&limited());
    node.instance.mark_restored();
    node
}

fn call(node: &mut Node, name: &str) -> Verdict {
    node.call_at(HOST, SOURCE, name, SECOND)
}

/// A worker panics while it tells a call's ending.
fn half_ended(node: &mut Node, name: &str) -> Admission {
    let call = admitted(call(node, name));
    let end = || node.instance.end(call.slot, |_| panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(end)).is_err());
    call
}

#[test]
fn a_call_whose_ending_broke_off_is_freed_and_the_counts_come_right() {
    let mut node = node();
    let up = admitted(call(&mut node, "up"));
    let stuck = half_ended(&mut node, "stuck");
    let live = node.instance.live();
    let epoch = live.epoch();
    assert_eq!(live.recount(ROUNDS).unsettled, 3, "while it is ending nobody knows");
    assert_eq!(live.begin_reclaim_lost(stuck.slot, epoch + 1), None, "that was said of another epoch");
    let reclaimed = live.begin_reclaim_lost(stuck.slot, epoch).unwrap();
    assert_eq!(reclaimed.0.uid, stuck.uid);
    assert_eq!(live.orphans().len(), 1, "a daemon that dies here goes on later");
    live.finish_reclaim(reclaimed);
    assert_eq!(live.trunk_calls(5), 2, "too many is strict, too few would be generous");
    let counts = [Count::Node, Count::Account(2), Count::Trunk(5)];
    let mut recount = live.recount(ROUNDS);
    recount.corrected.sort();
    let mut wanted = counts.map(|count| (count, 1)).to_vec();
    wanted.sort();
    assert_eq!(recount, Recount { compared: 3, corrected: wanted, unsettled: 0 });
    assert_eq!((live.trunk_calls(5), live.node_calls(), recount.drift()), (1, 1, 3));
    assert_eq!(live.recount(ROUNDS), Recount { compared: 3, ..Recount::default() }, "right is left alone");
    for name in ["second", "third"] {
        admitted(call(&mut node, name));
    }
    refused(call(&mut node, "one too many"));
    assert!(node.instance.end(up.slot, |_| {}));
    assert_eq!(node.instance.live().recount(ROUNDS).drift(), 0);
}

#[test]
fn a_call_that_lost_its_dialog_is_taken_out_of_every_count() {
    let mut node = node();
    let (gone, up) = (admitted(call(&mut node, "gone")), admitted(call(&mut node, "up")));
    node.instance.answered(gone.slot, 3_000);
    let live = node.instance.live();
    let reclaimed = live.begin_reclaim_lost(gone.slot, live.epoch()).unwrap();
    assert!(!node.instance.end(gone.slot, |_| panic!("it is the daemon's now")));
    assert_eq!(live.recount(ROUNDS).drift(), 0, "marked is still counted");
    live.finish_reclaim(reclaimed);
    assert_eq!(live.slots_in_use().iter().map(|view| view.uid).collect::<Vec<_>>(), [up.uid]);
    assert_eq!((live.trunk_calls(5), live.recount(ROUNDS).drift()), (1, 0));
    assert_eq!(live.begin_reclaim_lost(gone.slot, live.epoch()), None, "it is over");
}

#[test]
fn what_was_found_before_a_restart_says_nothing_of_a_call_that_was_restored() {
    let mut node = node();
    let call = admitted(call(&mut node, "kept"));
    let saved = node.instance.call(call.slot).unwrap();
    let epoch = node.instance.live().epoch();
    let node = node.restart();
    let key = node.instance.call_key(b"kept", b"tag", 1);
    assert_eq!(node.instance.adopt(&saved, key), Some(call.slot));
    let live = node.instance.live();
    assert_eq!(live.recount(ROUNDS), Recount::default(), "not before all dialogs are restored");
    node.instance.mark_restored();
    assert_eq!(live.begin_reclaim_lost(call.slot, epoch), None);
    assert_eq!(live.slots_in_use()[0].state, SlotState::Ringing);
    assert_eq!(live.recount(ROUNDS), Recount { compared: 3, ..Recount::default() });
}
