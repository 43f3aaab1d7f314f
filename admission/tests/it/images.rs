//! Publishing and mapping: what is damaged, foreign or missing never replaces what works.

use std::fs;
use std::sync::Barrier;

use trunk_admission::instance::{Freshness, Instance};
use trunk_admission::publish::{PublishError, PublishOptions, Publisher};
use trunk_admission::{OpenError, Reason};

use crate::support::{Node, options, table, trunk};

const SOURCE: &str = "203.0.113.7";

#[test]
fn a_publish_is_in_force_for_the_next_decision() {
    let mut node = Node::with(&table(vec![trunk("acme", 0, "0.0.0.0/0")]));
    assert_eq!(node.instance.generation(), 1);
    assert!(matches!(node.instance.refresh(), Freshness::Same));
    node.publish(&table(vec![trunk("other", 1, "0.0.0.0/0")]));
    assert_eq!(node.instance.generation(), 2);
    assert!(node.identify("acme.sip.example", SOURCE).is_err());
    assert_eq!(node.identify("other.sip.example", SOURCE).unwrap().trunk.live(), 1);
}

#[test]
fn before_the_first_publish_every_call_is_told_that_there_is_no_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut instance = Instance::create(&options(&dir)).unwrap();
    assert!(matches!(instance.refresh(), Freshness::Empty));
    let mut node = {
        let publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
        Node { dir, publisher, instance }
    };
    assert_eq!(node.identify("acme.sip.example", SOURCE).unwrap_err().reason, Reason::NoData);
    node.publisher.publish(&table(vec![trunk("acme", 0, "0.0.0.0/0")]), None).unwrap();
    // Looked for again within 100 ms, without a restart.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !matches!(node.instance.refresh(), Freshness::Newer) {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert!(node.identify("acme.sip.example", SOURCE).is_ok());
}

#[test]
fn a_spoilt_image_leaves_the_last_good_one_in_force_and_is_said_once() {
    type Spoil = fn(&mut Vec<u8>);
    let spoilers: [(&str, Spoil); 5] = [
        ("truncated", |bytes| bytes.truncate(bytes.len() / 2)),
        ("foreign", |bytes| bytes[0] ^= 1),
        ("newer layout", |bytes| bytes[12] += 1),
        ("a bit in the body", |bytes| *bytes.last_mut().unwrap() ^= 4),
        ("empty", |bytes| bytes.clear()),
    ];
    for (what, spoil) in spoilers {
        let mut node = Node::with(&table(vec![trunk("acme", 0, "0.0.0.0/0")]));
        node.publisher.publish(&table(vec![trunk("other", 1, "0.0.0.0/0")]), None).unwrap();
        let path = node.dir.path().join("table-2");
        let mut bytes = fs::read(&path).unwrap();
        spoil(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let Freshness::Refused(error) = node.instance.refresh() else { panic!("{what} was mapped") };
        assert!(error.to_string().contains("table-2"), "{error}");
        assert!(matches!(node.instance.refresh(), Freshness::StillRefused), "{what}");
        assert_eq!(node.instance.generation(), 1);
        assert!(node.identify("acme.sip.example", SOURCE).is_ok(), "{what}");
        assert_eq!(node.instance.live().counters().images_refused, 1);
        node.publish(&table(vec![trunk("third", 2, "0.0.0.0/0")]));
        assert!(node.identify("third.sip.example", SOURCE).is_ok(), "the next publish heals");
    }
}

#[test]
fn a_missing_image_is_refused_and_a_second_publisher_too() {
    let mut node = Node::with(&table(vec![trunk("acme", 0, "0.0.0.0/0")]));
    node.publisher.publish(&table(vec![]), None).unwrap();
    fs::remove_file(node.dir.path().join("table-2")).unwrap();
    assert!(matches!(node.instance.refresh(), Freshness::Refused(OpenError::Missing { .. })));
    assert!(node.identify("acme.sip.example", SOURCE).is_ok());
    let second = Publisher::open(node.dir.path(), PublishOptions::default());
    assert!(matches!(second, Err(PublishError::Open(OpenError::InUse { .. }))));
    assert!(matches!(Instance::create(&options(&node.dir)), Err(OpenError::InUse { .. })));
}

#[test]
fn a_publisher_that_starts_again_goes_on_counting_and_sweeps_what_has_no_name() {
    let node = Node::with(&table(vec![trunk("acme", 0, "0.0.0.0/0")]));
    let Node { dir, publisher, mut instance } = node;
    drop(publisher);
    fs::write(dir.path().join("table-2.new"), b"half written").unwrap();
    fs::write(dir.path().join("table-77"), b"never named").unwrap();
    let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["control", "events", "events-spill", "live", "table-1"]);
    let published = publisher.publish(&table(vec![]), Some(instance.live())).unwrap();
    assert_eq!(published.generation, 2);
    assert!(matches!(instance.refresh(), Freshness::Newer));
}

#[test]
fn a_publisher_that_cannot_read_what_is_in_force_gives_its_number_to_nothing_else() {
    type Spoil = fn(&std::path::Path);
    let of_another_layout: Spoil = |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[12] -= 1;
        // A file of its own: the worker goes on with the one that it has mapped.
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let gone: Spoil = |path| fs::remove_file(path).unwrap();
    for (what, spoil) in [("of another layout", of_another_layout), ("gone", gone)] {
        let node = Node::with(&table(vec![trunk("acme", 0, "0.0.0.0/0")]));
        let Node { dir, publisher, mut instance } = node;
        drop(publisher);
        spoil(&dir.path().join("table-1"));
        let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
        let published = publisher.publish(&table(vec![]), Some(instance.live())).unwrap();
        assert_eq!(published.generation, 2, "{what}");
        assert!(
            matches!(instance.refresh(), Freshness::Newer),
            "{what}: the worker sees that there is a newer one"
        );
        let node = Node { dir, publisher, instance };
        assert!(node.identify("acme.sip.example", SOURCE).is_err(), "{what}");
    }
}

#[test]
fn a_table_that_no_image_can_hold_is_refused_with_all_its_faults() {
    let mut node = Node::with(&table(vec![trunk("acme", 0, "0.0.0.0/0")]));
    let mut upper = trunk("Upper", 1, "0.0.0.0/0");
    upper.gateways[0].weight = 0;
    let bad = table(vec![trunk("twice", 2, "0.0.0.0/0"), trunk("twice", 2, "0.0.0.0/0"), upper]);
    let error = node.publisher.publish(&bad, None).unwrap_err().to_string();
    for part in ["trunk twice is there twice", "live index 2 is another trunk's", "\"Upper\"", "weight 0"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    assert_eq!(node.publisher.generation(), 1);
    assert!(matches!(node.instance.refresh(), Freshness::Same));
}

#[test]
fn of_publishers_that_start_at_the_same_instant_exactly_one_may_publish() {
    const AT_ONCE: usize = 4;
    for round in 0..200 {
        let dir = tempfile::tempdir().unwrap();
        let meet = Barrier::new(AT_ONCE);
        let open = || {
            meet.wait();
            Publisher::open(dir.path(), PublishOptions::default())
        };
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (mut good, bad): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!(good.len(), 1, "round {round}: {bad:?}");
        for refused in bad {
            let error = refused.unwrap_err();
            assert!(matches!(error, PublishError::Open(OpenError::InUse { .. })), "round {round}: {error}");
        }
        // What the one publishes is what a reader of the name finds.
        let publisher = good[0].as_mut().unwrap();
        publisher.publish(&table(vec![trunk("acme", 0, "0.0.0.0/0")]), None).unwrap();
        let mut instance = Instance::create(&options(&dir)).unwrap();
        assert!(matches!(instance.refresh(), Freshness::Newer), "round {round}");
    }
}

#[test]
fn a_trunk_whose_domain_nobody_can_send_takes_no_call_by_it_and_nothing_from_the_others() {
    let mut long = table(vec![trunk("aa", 0, "10.0.0.0/8"), trunk("bb", 1, "192.0.2.0/24")]);
    long.base_domain = format!("{}example", "abcdefg.".repeat(31)).chars().take(253).collect();
    assert_eq!(long.base_domain.len(), 253);
    let mut node = Node::with(&long);
    assert!(node.identify(&format!("aa.{}", long.base_domain), "10.0.0.1").is_err());
    let identity = node.identify(&long.base_domain, "10.0.0.1").unwrap();
    assert_eq!(node.instance.names(&identity).trunk.as_str(), "aa", "by its address, as ever");
    long.base_domain = "sip.example".to_owned();
    node.publish(&long);
    assert!(node.identify("aa.sip.example", "10.0.0.1").is_ok());
}
