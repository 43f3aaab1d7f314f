//! Overlays and bases over time: which files stay, what is refused, when a base is made anew.

use trunk_admission::model::*;
use trunk_admission::publish::{Change, Folding, Node as Settings, PublishError, PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Now, Proof, Verdict};

use crate::side::{NEVER_AT_ONCE, Side};
use crate::support::{rate, table, trunk};

fn trunks(count: u32) -> Vec<Trunk> {
    (0..count).map(|n| trunk(&format!("t{n}"), n, &format!("10.0.{n}.0/24"))).collect()
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("table-"));
    names.sort();
    names
}

fn owner(side: &mut Side, source: &str) -> String {
    side.instance.refresh();
    side.ask("sip.example", "", source).split(" Label").next().unwrap().to_owned()
}

#[test]
fn a_base_stays_while_an_overlay_names_it_and_old_overlays_go() {
    let mut side = Side::new(NEVER_AT_ONCE);
    side.publisher.publish(&table(trunks(8)), None).unwrap();
    for n in 2..20 {
        let mut one = trunks(1).remove(0);
        one.enabled = n % 2 == 0;
        one.limits.concurrent = Some(n);
        let published = side.publisher.apply(u64::from(n), [Change::PutTrunk(Box::new(one))], None).unwrap();
        assert_eq!((published.generation, published.base, published.changed), (n, 1, 1));
    }
    assert_eq!(
        names(side.dir.path()),
        ["table-1", "table-15", "table-16", "table-17", "table-18", "table-19"]
    );
    // A publisher that starts again keeps the pair in force, and nothing else.
    let Side { dir, publisher, mut instance, .. } = side;
    drop(publisher);
    let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
    assert_eq!(names(dir.path()), ["table-1", "table-19"]);
    instance.refresh();
    assert_eq!((instance.generation(), instance.status().trunks, instance.status().revision), (19, 8, 19));
    assert!(matches!(publisher.apply(20, [], None), Err(PublishError::NoTable)));
    let whole = publisher.publish(&table(trunks(9)), None).unwrap();
    assert_eq!((whole.generation, whole.base, whole.trunks), (20, 20, 9));
}

#[test]
fn what_collides_with_an_unchanged_trunk_is_refused_and_changes_nothing() {
    let mut side = Side::new(NEVER_AT_ONCE);
    let mut all = table(trunks(4));
    all.trunks[0].inbound_user = Some("6f1e".into());
    all.accounts.push(Account { id: "a".into(), live: 0, enabled: true, limits: Limits::default() });
    side.publisher.publish(&all, None).unwrap();
    let before = side.observe(&Settings::of(&all));
    let mut thief = trunk("thief", 1, "10.9.0.0/16");
    thief.inbound_user = Some("6f1e".into());
    let changes = [
        Change::RemoveTrunk("t3".into()),
        Change::PutTrunk(Box::new(thief)),
        Change::PutAccount(Account { id: "b".into(), live: 0, enabled: true, limits: Limits::default() }),
    ];
    let error = side.publisher.apply(2, changes.clone(), None).unwrap_err().to_string();
    for part in ["live index 1 is another trunk's", "inbound user 6f1e is there twice", "another account's"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    assert_eq!(side.observe(&Settings::of(&all)), before);
    // Once the others let go, the same is no collision.
    let freed = [
        Change::RemoveTrunk("t0".into()),
        Change::RemoveTrunk("t1".into()),
        Change::RemoveAccount("a".into()),
    ];
    let published = side.publisher.apply(2, freed.into_iter().chain(changes), None).unwrap();
    assert_eq!((published.base, published.trunks), (1, 2));
    assert!(owner(&mut side, "10.9.1.1").contains("thief"));
    assert_eq!(owner(&mut side, "10.0.3.1"), "UnknownDestination None");
}

#[test]
fn a_rate_that_changes_in_an_overlay_keeps_its_debt() {
    let mut side = Side::new(NEVER_AT_ONCE);
    let mut all = table(trunks(3));
    all.trunks[1].limits.rate = rate(0.1, 100);
    side.publisher.publish(&all, Some(side.instance.live())).unwrap();
    side.instance.refresh();
    // The publisher reads the clock itself. A call drains in ten seconds: a busy machine does not change what is left.
    let now = Now::read();
    let admitted = |side: &mut Side, count: u32, tag: &str| {
        (0..count)
            .filter(|n| {
                let call = side.instance.call_key(format!("{tag}{n}").as_bytes(), b"tag", 1);
                let source = "10.0.1.9".parse().unwrap();
                let attempt =
                    Attempt { host: &Host::new(b"t1.sip.example"), user: b"", source, secure: false, call };
                let identity = side.instance.identify(&attempt).unwrap();
                match side.instance.admit(&identity, &attempt, Proof::None, now) {
                    Verdict::Admitted(call) => side.instance.end(call.slot, |_| {}),
                    _ => false,
                }
            })
            .count()
    };
    assert_eq!(admitted(&mut side, 60, "a"), 60);
    all.trunks[1].limits.rate = rate(0.005, 100);
    let change = Change::PutTrunk(Box::new(all.trunks[1].clone()));
    side.publisher.apply(2, [change], Some(side.instance.live())).unwrap();
    side.instance.refresh();
    let left = admitted(&mut side, 60, "b");
    assert!((39..=41).contains(&left), "60 of 100 are spent, {left} were left");
}

#[test]
fn a_base_that_was_spoilt_below_the_publisher_is_made_anew() {
    for spoil in [
        |path: &std::path::Path| std::fs::remove_file(path).unwrap(),
        |path: &std::path::Path| std::fs::write(path, b"").unwrap(),
    ] {
        let mut side = Side::new(NEVER_AT_ONCE);
        side.publisher.publish(&table(trunks(8)), None).unwrap();
        spoil(&side.dir.path().join("table-1"));
        let change = Change::RemoveTrunk("t3".into());
        let published = side.publisher.apply(2, [change], Some(side.instance.live())).unwrap();
        assert_eq!((published.generation, published.base, published.trunks), (2, 2, 7));
        assert!(owner(&mut side, "10.0.4.1").contains("t4"));
    }
}

#[test]
fn overlays_are_folded_when_they_are_due() {
    let mut side = Side::new(Folding { small_trunks: 2, at_once_trunks: 100, changed: 5 });
    side.publisher.publish(&table(trunks(20)), None).unwrap();
    let bases: Vec<u32> = (0..12_u32)
        .map(|n| {
            let change = Change::RemoveTrunk(format!("t{n}"));
            side.publisher.apply(u64::from(n) + 2, [change], None).unwrap().base
        })
        .collect();
    assert_eq!(bases, [1, 1, 1, 1, 1, 7, 7, 7, 7, 7, 7, 13]);
    // Where it is not done at once, it is only said.
    side.publisher.set_folding(Folding { small_trunks: 2, at_once_trunks: 0, changed: 1 });
    let due = |n: u32, side: &mut Side| {
        side.publisher.apply(u64::from(n), [Change::RemoveTrunk(format!("t{n}"))], None).unwrap().fold_due
    };
    assert_eq!([due(12, &mut side), due(13, &mut side)], [false, true]);
    let fold = side.publisher.begin_fold().unwrap();
    // While it is made, even a whole table with many changes is an overlay.
    let whole = side.publisher.publish(&table(trunks(16)), None).unwrap();
    assert_ne!(whole.base, whole.generation);
    let folded = fold.build().unwrap();
    let published = side.publisher.finish_fold(folded, None).unwrap();
    assert_eq!((published.trunks, published.changed), (16, 18));
    assert!(published.base < whole.generation && published.generation > whole.generation);
    assert!(owner(&mut side, "10.0.7.1").contains("t7"));
    // An older fold is of no use beside a newer one.
    let (first, second) = (side.publisher.begin_fold().unwrap(), side.publisher.begin_fold().unwrap());
    let late = side.publisher.finish_fold(first.build().unwrap(), None);
    assert!(matches!(late, Err(PublishError::Superseded)));
    let published = side.publisher.finish_fold(second.build().unwrap(), None).unwrap();
    assert_eq!((published.base, published.changed), (published.generation, 0));
}
