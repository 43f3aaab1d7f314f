//! The store keeps what it is given: configuration and places in shared memory.

use trunkd::difference::Plan;
use trunkd::domain::Provisioned;
use trunkd::publish::Capacity;
use trunkd::store::{Store, StoreError};

use crate::support::{SECRET, Site, commit};

const ROOM: Capacity = Capacity { trunks: 64, accounts: 64, gateways: 64 };

fn full_file() -> String {
    format!(
        r#"
        [[account]]
        accountId = "acme"
        cpsLimit = 2.5
        [[trunk]]
        trunkId = "b"
        accountId = "acme"
        authMode = "all"
        cpsLimit = 0.5
        cpsBurst = 3
        allowedRegions = []
        failoverCodes = [408, 503]
        secure = true
        webhookUrl = "https://hooks.example.com/x"
        webhookSecret = "{SECRET}"
        [[trunk.ipAcls]]
        ipAddress = "2001:db8::/32"
        enabled = false
        [[trunk.ipAcls]]
        ipAddress = "192.0.2.1"
        [[trunk.credentials]]
        username = "bob"
        password = "correct horse battery"
        [[trunk.originationUris]]
        uri = "sip:two.example.net"
        priority = 2
        [[trunk.originationUris]]
        uri = "sip:one.example.net;transport=tls"
        priority = 1
        weight = 7
        [[trunk]]
        trunkId = "a"
        allowedRegions = ["US", "DE"]
        "#
    )
}

async fn apply(store: &dyn Store, wanted: &Provisioned) -> Plan {
    let snapshot = store.snapshot().await.unwrap();
    let plan = Plan::between(&snapshot, wanted);
    commit(store, snapshot.revision, plan.changes.clone(), ROOM).await.unwrap();
    plan
}

#[tokio::test]
async fn what_was_stored_is_what_is_read() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let store = site.store().await;
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.revision, 1);
    assert_eq!(snapshot.trunks.iter().map(|trunk| trunk.item.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(Plan::between(&snapshot, &site.load().provisioned).is_empty(), "{snapshot:#?}");
    store.close().await.unwrap();

    let again = site.store().await;
    assert_eq!(again.snapshot().await.unwrap(), snapshot, "over a restart");
}

#[tokio::test]
async fn no_password_is_in_the_database() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let store = site.store().await;
    store.close().await.unwrap();
    let bytes = std::fs::read(site.database()).unwrap();
    assert!(!bytes.windows(12).any(|window| window == b"correct hors"));
}

#[tokio::test]
async fn a_thing_keeps_its_place_while_others_come_and_go() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let store = site.store().await;
    let place = |snapshot: &trunkd::store::Snapshot, id: &str| {
        let trunk = snapshot.trunks.iter().find(|trunk| trunk.item.id == id).unwrap();
        (trunk.live, trunk.gateways.clone())
    };
    let before = place(&store.snapshot().await.unwrap(), "b");

    let mut wanted = site.load().provisioned;
    let b = wanted.trunks.remove(1);
    wanted.trunks[0].enabled = false;
    let plan = apply(&*store, &wanted).await;
    let lines: Vec<_> = plan.lines.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["removed trunk b", "changed trunk a: enabled"]);

    wanted.trunks.push(b);
    apply(&*store, &wanted).await;
    assert_eq!(place(&store.snapshot().await.unwrap(), "b"), before, "it came back to its own place");

    wanted.trunks[1].origination_uris.remove(0);
    apply(&*store, &wanted).await;
    let after = place(&store.snapshot().await.unwrap(), "b");
    assert_eq!(after.1.len(), 1);
    assert!(before.1.contains(&after.1[0]), "a gateway keeps its place when another leaves");
}

#[tokio::test]
async fn a_plan_against_another_revision_changes_nothing() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let store = site.store().await;
    let mut wanted = site.load().provisioned;
    wanted.trunks.clear();
    let plan = Plan::between(&store.snapshot().await.unwrap(), &wanted);
    let refused = commit(&*store, 0, plan.changes, ROOM).await;
    assert!(matches!(refused, Err(StoreError::Conflict { expected: 0, found: 1 })), "{refused:?}");
    assert_eq!(store.snapshot().await.unwrap().trunks.len(), 2);
}

#[tokio::test]
async fn a_change_that_does_not_fit_is_undone_whole() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let store = site.store().await;
    let before = store.snapshot().await.unwrap();
    let mut wanted = site.load().provisioned;
    wanted.trunks[0].enabled = false;
    wanted.trunks.push(trunkd::domain::Trunk { id: "c".into(), ..wanted.trunks[0].clone() });
    let plan = Plan::between(&before, &wanted);
    let room = Capacity { trunks: 2, ..ROOM };
    let refused = commit(&*store, before.revision, plan.changes, room).await;
    assert!(matches!(refused, Err(StoreError::NoRoom("trunk"))), "{refused:?}");
    assert_eq!(store.snapshot().await.unwrap(), before);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let site = Site::new();
    let store = site.store().await;
    store.close().await.unwrap();
    assert!(matches!(store.snapshot().await, Err(StoreError::Closed)));
}
