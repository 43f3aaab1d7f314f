//! Events from the module's side to the daemon's: order, restarts, a full ring, a full spill file.

use trunk_admission::Reason;
use trunk_admission::events::{Answered, BodyOut, Consumer, EventOut, InitiatedOut, Pushed, Record};
use trunk_admission::instance::Instance;
use trunk_admission::model::Kind;

use crate::support::{Node, options, table};

fn event(n: u8) -> EventOut<'static> {
    let initiated = InitiatedOut {
        account: b"",
        kind: Kind::Trunk,
        reason: None,
        limit: 0,
        count: 0,
        wait_ms: 0,
        generation: 1,
        source: [192, 0, 2, 1].into(),
        source_port: 5060,
        sip_call_id: b"id",
        from_user: b"",
        from_host: b"",
        to_user: b"",
        request_uri: b"sip:x",
    };
    EventOut { call: [n; 16], wall_ms: 1, trunk: b"acme", body: BodyOut::Initiated(initiated) }
}

#[test]
fn events_wait_for_their_reader_over_restarts_of_both_sides() {
    let node = Node::with(&table(vec![]));
    for n in 0..16 {
        assert_eq!(node.instance.push(&event(n)), Pushed::At(u64::from(n)));
    }
    assert_eq!(node.instance.push(&event(99)), Pushed::Full);
    let node = node.restart();
    let mut consumer = Consumer::attach(node.dir.path()).unwrap();
    assert_eq!((consumer.fill(), consumer.dropped()), ((16, 16), 1));
    let records = consumer.poll(10);
    assert_eq!(records.len(), 10);
    drop(consumer); // died before it acknowledged
    let mut consumer = Consumer::attach(node.dir.path()).unwrap();
    assert_eq!(consumer.poll(10), records, "the same again");
    consumer.acknowledge(&records);
    assert_eq!(consumer.poll(100).len(), 6);
    assert_eq!(node.instance.push(&event(16)), Pushed::At(16));
    let calls: Vec<u8> =
        consumer.poll(100).iter().map(|record| record.event.as_ref().unwrap().call[0]).collect();
    assert_eq!(calls, [10, 11, 12, 13, 14, 15, 16]);
}

#[test]
fn a_flood_of_refusals_leaves_half_of_the_ring_to_calls_that_were_let_in() {
    let node = Node::with(&table(vec![]));
    let mut refused = event(1);
    if let BodyOut::Initiated(initiated) = &mut refused.body {
        initiated.reason = Some(Reason::UnknownDestination);
    }
    let pushed = (0..100).filter(|_| node.instance.push(&refused) != Pushed::Full).count();
    assert_eq!(pushed, 8);
    assert!((0..8).all(|n| node.instance.push(&event(n)) != Pushed::Full));
    assert_eq!(node.instance.live().counters().events_dropped, 92);
}

fn answered(n: u8) -> EventOut<'static> {
    let body = BodyOut::Answered(Answered { gateway: &b"sip:g"[..], attempts: 1, ring_wall_ms: 0 });
    EventOut { body, ..event(n) }
}

fn calls(records: &[Record]) -> Vec<u8> {
    records.iter().map(|record| record.event.as_ref().unwrap().call[0]).collect()
}

#[test]
fn a_full_ring_spills_in_order_and_a_full_spill_drops_what_can_be_rebuilt_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(&dir);
    options.spill_cells = 16;
    let instance = Instance::create(&options).unwrap();
    for n in 0..16 {
        assert_eq!(instance.push(&event(n)), Pushed::At(u64::from(n)));
    }
    for n in 16..30 {
        assert_eq!(instance.push(&event(n)), Pushed::Spilled(u64::from(n) - 16));
    }
    assert_eq!(instance.push(&answered(99)), Pushed::Full, "the last eighth is for others");
    assert_eq!(instance.push(&event(30)), Pushed::Spilled(14));
    assert_eq!(instance.push(&event(31)), Pushed::Spilled(15));
    assert_eq!(instance.push(&event(99)), Pushed::Full);
    assert_eq!(instance.live().counters().events_dropped, 2);

    let mut consumer = Consumer::attach(dir.path()).unwrap();
    assert_eq!((consumer.fill(), consumer.dropped()), ((32, 32), 2));
    let first = consumer.poll(20);
    assert_eq!(calls(&first), (0..20).collect::<Vec<_>>());
    consumer.acknowledge(&first);
    assert!(matches!(instance.push(&event(32)), Pushed::Spilled(_)), "not past those that still wait");
    drop(consumer); // killed, and started again
    let mut consumer = Consumer::attach(dir.path()).unwrap();
    let rest = consumer.poll(100);
    assert_eq!(calls(&rest), (20..33).collect::<Vec<_>>());
    assert_eq!(rest.last().unwrap().dropped_before, 2, "the next event says how many are missing");
    assert_eq!(first[0].dropped_before, 0);
    let sequences: std::collections::HashSet<u64> = first.iter().chain(&rest).map(|r| r.sequence).collect();
    assert_eq!(sequences.len(), 33, "a sequence names one record");
    consumer.acknowledge(&rest);
    assert_eq!(instance.push(&event(33)), Pushed::At(16), "drained: the ring again");
    assert_eq!(calls(&consumer.poll(100)), [33]);
}

#[test]
fn what_was_spilled_outlives_a_restart_and_a_ring_is_resized_only_when_nothing_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(&dir);
    options.spill_cells = 8;
    let instance = Instance::create(&options).unwrap();
    for n in 0..20 {
        instance.push(&event(n));
    }
    drop(instance);
    let mut larger = options.clone();
    larger.spill_cells = 64;
    let error = Instance::create(&larger).unwrap_err().to_string();
    assert!(error.contains("8 spill cells") && error.contains("64"), "{error}");
    let instance = Instance::create(&options).unwrap();
    assert!(matches!(instance.push(&event(20)), Pushed::Spilled(_)));
    let mut consumer = Consumer::attach(dir.path()).unwrap();
    let records = consumer.poll(100);
    assert_eq!(calls(&records), (0..21).collect::<Vec<_>>());
    consumer.acknowledge(&records);
    drop(instance);
    assert!(Instance::create(&larger).is_ok());
    assert!(!consumer.is_current(dir.path()), "the daemon finds the new file");
}

#[test]
fn a_spill_file_that_was_cut_loses_its_records_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(&dir);
    options.spill_cells = 8;
    let instance = Instance::create(&options).unwrap();
    for n in 0..18 {
        instance.push(&event(n));
    }
    let spill = std::fs::OpenOptions::new().write(true).open(dir.path().join("events-spill")).unwrap();
    spill.set_len(1024 + 100).unwrap();
    let mut consumer = Consumer::attach(dir.path()).unwrap();
    let records = consumer.poll(100);
    assert_eq!(calls(&records[..17]), (0..17).collect::<Vec<_>>());
    assert!(records[17].event.is_err());
    consumer.acknowledge(&records);
    assert_eq!(instance.push(&event(18)), Pushed::At(16));
}
