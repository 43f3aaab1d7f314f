//! A call's slot over its life: met twice, answered, ended, restored, orphaned; and its gateways.

use trunk_admission::instance::Instance;
use trunk_admission::live::{CallView, Origin, SlotRef, SlotState};
use trunk_admission::model::Limits;
use trunk_admission::{Attempt, Host, Identity, Now, Outcome, Proof, Reason, Verdict};

use crate::support::{Node, admitted, gateway, rate, refused, table, trunk};

const HOST: &str = "acme.sip.example";
const SOURCE: &str = "203.0.113.7";
const SECOND: u64 = 1_000_000_000;

fn limited() -> trunk_admission::model::Table {
    let mut one = trunk("acme", 0, "0.0.0.0/0");
    one.limits = Limits { rate: rate(1.0, 2), concurrent: Some(2) };
    table(vec![one])
}

#[test]
fn the_same_invite_takes_one_token_and_one_slot() {
    let mut node = Node::with(&limited());
    let first = admitted(node.call_at(HOST, SOURCE, "same", SECOND));
    for _ in 0..10 {
        let Verdict::Again(again) = node.call_at(HOST, SOURCE, "same", SECOND) else { panic!() };
        assert_eq!(again, first);
    }
    assert_eq!(node.instance.live().trunk_calls(0), 1);
    admitted(node.call_at(HOST, SOURCE, "second token", SECOND));
    refused(node.call_at(HOST, SOURCE, "third", SECOND));
    node.instance.end(first.slot, |_| {});
    assert_eq!(refused(node.call_at(HOST, SOURCE, "same", SECOND)).reason, Reason::CpsExceeded, "it is over");
}

/// Between the two halves of a decision lies the digest check, and another worker may judge a copy of the INVITE meanwhile.
#[test]
fn a_call_is_not_judged_by_what_was_seen_of_it_before_its_password() {
    let mut one = trunk("acme", 0, "0.0.0.0/0");
    one.limits = Limits { rate: rate(1.0, 1), concurrent: None };
    let mut node = Node::with(&table(vec![one]));
    let host = Host::new(HOST.as_bytes());
    let (attempt, other) = (node.attempt(&host, SOURCE, "same"), node.attempt(&host, SOURCE, "other"));
    let judge = |worker: &mut Instance, identity: &Identity, attempt: &Attempt<'_>, at: u64| {
        worker.admit(identity, attempt, Proof::None, Now { mono_ns: at * SECOND, wall_ms: 1_000 })
    };

    let mut elsewhere = node.worker();
    let copy = |worker: &mut Instance, attempt: &Attempt<'_>, at: u64| {
        let identity = worker.identify(attempt).unwrap();
        judge(worker, &identity, attempt, at)
    };
    let identity = node.instance.identify(&attempt).unwrap();
    let first = admitted(copy(&mut elsewhere, &attempt, 1));
    // The copy had the last token: the call is known, and not refused for it.
    let Verdict::Again(again) = judge(&mut node.instance, &identity, &attempt, 1) else {
        panic!("refused or let in")
    };
    assert_eq!(again, first);
    assert_eq!(node.instance.live().trunk_calls(0), 1);

    // With room for another as well.
    assert!(node.instance.end(first.slot, |_| {}));
    let identity = node.instance.identify(&attempt).unwrap();
    let first = admitted(copy(&mut elsewhere, &attempt, 3));
    let Verdict::Again(again) = judge(&mut node.instance, &identity, &attempt, 5) else {
        panic!("let in twice")
    };
    assert_eq!(again, first);

    // What was seen of one call says nothing of another.
    let unseen = node.attempt(&host, SOURCE, "a third");
    let identity = node.instance.identify(&unseen).unwrap();
    let second = admitted(judge(&mut node.instance, &identity, &other, 7));
    assert_ne!(second.slot, first.slot);
    let Verdict::Again(again) = copy(&mut elsewhere, &other, 7) else { panic!("let in twice") };
    assert_eq!(again, second);
    assert_ne!(admitted(copy(&mut elsewhere, &unseen, 9)).slot, second.slot, "nobody took it for the other");

    // Seen while it was up, and judged when it was over.
    let seen = node.instance.identify(&attempt).unwrap();
    assert!(node.instance.end(first.slot, |_| {}));
    let third = admitted(judge(&mut node.instance, &seen, &attempt, 11));
    assert_ne!(third.slot, first.slot, "another use");
}

#[test]
fn a_call_keeps_its_times_and_ends_once() {
    let mut node = Node::with(&limited());
    let call = admitted(node.call_at(HOST, SOURCE, "a", SECOND));
    node.instance.ringing(call.slot, 2_000);
    node.instance.ringing(call.slot, 2_500);
    assert!(node.instance.answered(call.slot, 3_000));
    assert!(!node.instance.answered(call.slot, 4_000));
    let mut reported = None;
    assert!(node.instance.end(call.slot, |view| reported = Some(*view)));
    let view = reported.unwrap();
    assert_eq!((view.start_wall_ms, view.ring_wall_ms, view.answer_wall_ms), (1_000, 2_000, 3_000));
    assert!(!node.instance.answered(call.slot, 5_000));
    assert!(node.instance.call(call.slot).is_none());
    let next = admitted(node.call_at(HOST, SOURCE, "a", SECOND));
    assert_ne!(next.slot, call.slot, "a slot in its next use is another slot");
    assert!(!node.instance.end(call.slot, |_| panic!("the old reference ends nothing")));
}

#[test]
fn a_calls_clock_is_nobodys_to_set_and_begins_anew_with_the_machine() {
    let mut node = Node::with(&limited());
    let kept = admitted(node.call_at(HOST, SOURCE, "kept", SECOND));
    let key = |node: &Node, id: &[u8]| node.instance.call_key(id, b"tag", 1);
    for wall_ms in [0, 31_000, 3_631_000] {
        let now = Now { mono_ns: 31 * SECOND, wall_ms };
        assert_eq!(node.instance.time_of(kept.slot, now), 31_000);
    }
    // The monotonic clock of a machine that has just been started is behind that of before.
    let before = admitted(node.call_at(HOST, SOURCE, "before", 1 << 60));
    let saved = [kept, before].map(|call| node.instance.call(call.slot).unwrap());

    let node = node.restart();
    node.instance.adopt(&saved[0], key(&node, b"kept")).unwrap();
    assert_eq!(node.instance.call(kept.slot).unwrap().clock, saved[0].clock);
    node.instance.adopt(&saved[1], key(&node, b"before")).unwrap();
    let now = Now::read();
    assert!(now.wall_ms.abs_diff(node.instance.time_of(before.slot, now)) < 60_000);
    // One that has lost its slot too was answered by a clock that was ahead: it does not end before that.
    let ahead = now.wall_ms + 3_600_000;
    let unslotted = CallView {
        slot: SlotRef::from_raw(1 << 40).unwrap(),
        uid: [7; 16],
        answer_wall_ms: ahead,
        ..saved[0]
    };
    let slot = node.instance.adopt(&unslotted, key(&node, b"unslotted")).unwrap();
    assert!((ahead..ahead + 60_000).contains(&node.instance.time_of(slot, Now::read())));
}

#[test]
fn after_a_restart_only_restored_calls_count_and_the_rest_are_orphans() {
    let mut node = Node::with(&limited());
    let kept = admitted(node.call_at(HOST, SOURCE, "kept", SECOND));
    let lost = admitted(node.call_at(HOST, SOURCE, "lost", SECOND));
    node.instance.answered(kept.slot, 3_000);
    let saved = node.instance.call(kept.slot).unwrap();
    let key = node.instance.call_key(b"kept", b"tag", 1);

    let mut node = node.restart();
    assert_eq!(node.instance.live().trunk_calls(0), 0);
    assert!(node.instance.live().orphans().is_empty(), "not before the dialogs are restored");
    let slot = node.instance.adopt(&saved, key).unwrap();
    assert_eq!(node.instance.adopt(&saved, key), Some(slot), "adopting twice counts once");
    assert_eq!((slot, node.instance.live().trunk_calls(0)), (kept.slot, 1));
    node.instance.mark_restored();

    let orphans = node.instance.live().orphans();
    assert_eq!(orphans.iter().map(|view| view.uid).collect::<Vec<_>>(), [lost.uid]);
    let reclaimed = node.instance.live().begin_reclaim(orphans[0].slot).unwrap();
    assert_eq!(
        node.instance.live().orphans().len(),
        1,
        "marked, not freed: a daemon that dies here goes on later"
    );
    let again = node.instance.live().begin_reclaim(orphans[0].slot).unwrap();
    node.instance.live().finish_reclaim(again);
    node.instance.live().finish_reclaim(reclaimed);
    assert!(node.instance.live().orphans().is_empty());
    assert_eq!(
        node.instance.live().trunk_calls(0),
        1,
        "an orphan of another epoch was never counted in this one"
    );

    let mut ended = None;
    assert!(node.instance.end(slot, |view| ended = Some(*view)));
    assert_eq!(ended.unwrap().answer_wall_ms, 3_000);
    assert_eq!(node.instance.live().trunk_calls(0), 0);
    assert_eq!(node.instance.live().counters().underflows, 0);
    // The rate word outlived the restart: both tokens are spent.
    refused(node.call_at(HOST, SOURCE, "fresh", SECOND));
}

#[test]
fn a_restored_call_has_ended_when_its_own_memory_knows_nothing_of_it_any_more() {
    let mut node = Node::with(&limited());
    let up = admitted(node.call_at(HOST, SOURCE, "up", SECOND));
    let over = admitted(node.call_at(HOST, SOURCE, "over", SECOND));
    let saved = [up, over].map(|call| node.instance.call(call.slot).unwrap());
    let origin = node.instance.live().origin();
    assert!(node.instance.end(over.slot, |_| {}));

    let node = node.restart();
    let has_ended = |node: &Node, number: usize, origin| {
        let key = node.instance.call_key([&b"up"[..], b"over"][number], b"tag", 1);
        node.instance.has_ended(&saved[number], key, origin)
    };
    assert!(!has_ended(&node, 0, origin) && has_ended(&node, 1, origin));
    // What was saved in this very epoch, in another file, or by a release that did not say where, proves nothing.
    for other in [
        node.instance.live().origin(),
        Origin { file: origin.file + 1, ..origin },
        Origin { file: 0, ..origin },
        Origin::default(),
    ] {
        assert!(!has_ended(&node, 1, other), "{other:?}");
    }
    // The slot of a call that is up may have been saved under another name.
    let elsewhere = CallView { slot: SlotRef::from_raw(up.slot.to_raw() ^ 8).unwrap(), ..saved[0] };
    assert!(!node.instance.has_ended(&elsewhere, node.instance.call_key(b"up", b"tag", 1), origin));
}

#[test]
fn a_call_whose_slot_is_gone_is_adopted_into_a_new_one() {
    let mut node = Node::with(&limited());
    let call = admitted(node.call_at(HOST, SOURCE, "kept", SECOND));
    node.instance.answered(call.slot, 3_000);
    let saved = node.instance.call(call.slot).unwrap();
    let table = limited();
    drop(node);
    let node = Node::with(&table); // another machine's memory: nothing is left of the slot
    let slot = node.instance.adopt(&saved, node.instance.call_key(b"kept", b"tag", 1)).unwrap();
    let view = node.instance.call(slot).unwrap();
    assert_eq!((view.uid, view.answer_wall_ms), (call.uid, 3_000));
    assert_eq!(node.instance.live().slots_in_use()[0].state, SlotState::Answered);
    assert_eq!(node.instance.live().trunk_calls(0), 1);
}

#[test]
fn a_restored_call_that_was_ending_in_another_slot_is_found_there() {
    let mut node = Node::with(&limited());
    let call = admitted(node.call_at(HOST, SOURCE, "kept", SECOND));
    node.instance.answered(call.slot, 3_000);
    let saved = node.instance.call(call.slot).unwrap();
    // Whoever ended it died in the middle, and what was saved of it names a slot that it does not have.
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        node.instance.end(call.slot, |_| panic!("a death while the ending is told"))
    }));
    assert!(died.is_err());
    assert_eq!(node.instance.live().slots_in_use()[0].state, SlotState::Ending);
    let elsewhere = CallView { slot: SlotRef::from_raw(call.slot.to_raw() ^ 8).unwrap(), ..saved };

    let node = node.restart();
    let key = node.instance.call_key(b"kept", b"tag", 1);
    assert_eq!(node.instance.adopt(&elsewhere, key), Some(call.slot));
    node.instance.mark_restored();
    let up = node.instance.live().slots_in_use();
    assert_eq!((up.len(), up[0].state), (1, SlotState::Answered), "{up:?}");
    assert!(node.instance.live().orphans().is_empty(), "a call that is up is told to have ended by nobody");
    assert_eq!(node.instance.live().trunk_calls(0), 1);
    assert!(node.instance.end(call.slot, |view| assert_eq!(view.answer_wall_ms, 3_000)));
}

#[test]
fn gateways_come_by_priority_each_once_and_the_dead_ones_last() {
    let mut one = trunk("acme", 0, "0.0.0.0/0");
    one.gateways = vec![
        gateway("sip:c.example", 3, 20, 1),
        gateway("sip:a.example", 1, 10, 1),
        gateway("sip:b.example", 2, 10, 65_535),
    ];
    let mut node = Node::with(&table(vec![one]));
    let hunt = |node: &mut Node, call: &str| {
        let call = admitted(node.call_at(HOST, SOURCE, call, SECOND));
        let identity = node.instance.identity_of(0).unwrap();
        let mut order = Vec::new();
        while let Some(target) = node.instance.route(&identity, call.slot) {
            assert_eq!(usize::from(target.attempt), order.len() + 1);
            order.push(target.live);
        }
        node.instance.end(call.slot, |view| assert_eq!(view.attempts, 3));
        order
    };
    for n in 0..20 {
        let order = hunt(&mut node, &n.to_string());
        assert_eq!((order.len(), order[2]), (3, 3), "{order:?}");
    }
    for _ in 0..3 {
        node.instance.gateway_result(1, Outcome::Bad, Now::read());
        node.instance.gateway_result(2, Outcome::Bad, Now::read());
    }
    let order = hunt(&mut node, "dead ones");
    assert_eq!(order[0], 3, "the only one that is up");
    node.publish(&{
        let mut one = trunk("acme", 0, "0.0.0.0/0");
        one.gateways = vec![
            gateway("sip:a.example", 1, 10, 1),
            gateway("sip:c.example", 3, 20, 1),
            gateway("sip:d.example", 4, 30, 1),
        ];
        table(vec![one])
    });
    assert_eq!(hunt(&mut node, "published"), [3, 4, 1], "a publish revives nothing");
}
