//! What is owed survives a kill at any moment, is not doubled, and keeps its order.

use std::path::Path;

use trunkd::store::sqlite::SqliteStore;
use trunkd::store::{AttemptRecord, Due, EndpointId, Store, Target, Then};

use crate::support::{Site, answered, batch, call_id, copy_as_killed, initiated, trunk_with_webhook};

async fn due(store: &dyn Store, now_ms: i64) -> Due {
    store.due(EndpointId(1), now_ms, 100).await.unwrap().expect("the endpoint is enabled")
}

async fn ids(store: &dyn Store, now_ms: i64) -> Vec<String> {
    due(store, now_ms).await.deliveries.into_iter().map(|delivery| delivery.event_id).collect()
}

fn attempt(delivery: i64, number: u32, then: Then) -> AttemptRecord {
    AttemptRecord {
        delivery,
        endpoint: EndpointId(1),
        target: Target::Url,
        number,
        started_ms: 1000,
        duration_ms: 10,
        outcome: "test",
        status: None,
        error: None,
        answer: Vec::new(),
        then,
    }
}

fn site() -> Site {
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    site
}

/// Opens what a kill at this instant would have left.
fn after_kill(site: &Site, to: &Path) -> SqliteStore {
    copy_as_killed(&site.database(), to);
    SqliteStore::open(to).unwrap()
}

#[tokio::test]
async fn a_batch_that_was_written_survives_a_kill_and_is_not_doubled() {
    let site = site();
    let store = site.store().await;
    let records = vec![
        initiated(call_id(1), "acme", 100),
        answered(call_id(1), "acme", 900),
        initiated(call_id(2), "acme", 200),
    ];
    let written = store.ingest(batch(9, records.clone()), 1000).await.unwrap();
    assert_eq!((written.events, written.endpoints.as_slice()), (3, &[EndpointId(1)][..]));

    let dir = tempfile::tempdir().unwrap();
    let killed = after_kill(&site, &dir.path().join("killed.sqlite"));
    assert_eq!(killed.ring_position(7).await.unwrap(), Some(9));
    assert_eq!(killed.ring_position(8).await.unwrap(), None, "another ring");
    assert_eq!(killed.backlog().await.unwrap().pending, 3);
    // The ring was never told, so it tells the same again.
    let again = killed.ingest(batch(9, records), 2000).await.unwrap();
    assert_eq!(again.events, 0);
    assert_eq!(killed.backlog().await.unwrap().pending, 3);
    assert_eq!(
        ids(&killed, 2000).await,
        ["evt_01010101010101010101010101010101_0", "evt_02020202020202020202020202020202_0"]
    );
}

#[tokio::test]
async fn a_record_behind_one_that_was_slow_is_not_taken_for_an_old_one() {
    let site = site();
    let store = site.store().await;
    store.ingest(batch(9, vec![initiated(call_id(1), "acme", 100)]), 1000).await.unwrap();
    let late = store.ingest(batch(4, vec![initiated(call_id(2), "acme", 90)]), 1001).await.unwrap();
    assert_eq!(late.events, 1);
    assert_eq!(store.ring_position(7).await.unwrap(), Some(9));
}

#[tokio::test]
async fn later_events_of_a_call_wait_for_earlier_ones_but_not_for_ever() {
    let site = site();
    let store = site.store().await;
    store
        .ingest(batch(2, vec![initiated(call_id(1), "acme", 100), answered(call_id(1), "acme", 900)]), 1000)
        .await
        .unwrap();
    for number in 1..=3 {
        let due = due(&*store, i64::from(number) * 5000).await;
        assert_eq!(due.deliveries.len(), 1, "attempt {number}: the answer waits");
        assert_eq!(due.deliveries[0].attempts, number - 1);
        store
            .record(vec![attempt(due.deliveries[0].id, number, Then::RetryAt(i64::from(number + 1) * 5000))])
            .await
            .unwrap();
    }
    let due = due(&*store, 20_000).await;
    assert_eq!(due.deliveries.len(), 2, "after three failures it no longer does");
}

#[tokio::test]
async fn each_end_of_an_attempt_leaves_the_delivery_where_it_belongs() {
    let site = site();
    let store = site.store().await;
    let records = (1..=4).map(|index| initiated(call_id(index), "acme", 100)).collect();
    store.ingest(batch(4, records), 1000).await.unwrap();
    let all: Vec<_> = due(&*store, 1000).await.deliveries.into_iter().map(|delivery| delivery.id).collect();
    store.record(vec![attempt(all[0], 1, Then::Delivered)]).await.unwrap();
    store.record(vec![attempt(all[1], 1, Then::RetryAt(9000))]).await.unwrap();
    store.record(vec![attempt(all[2], 1, Then::Park)]).await.unwrap();
    let left = due(&*store, 1000).await;
    assert_eq!(left.deliveries.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), [all[3]]);
    assert_eq!(left.next_ms, Some(9000));
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.pending, backlog.parked), (2, 1));

    // 410: nothing more is sent, nothing is lost.
    store.record(vec![attempt(all[3], 1, Then::Disable)]).await.unwrap();
    assert!(store.due(EndpointId(1), 99_000, 100).await.unwrap().is_none());
    assert!(store.endpoints_with_work().await.unwrap().is_empty());
    store.ingest(batch(5, vec![initiated(call_id(5), "acme", 100)]), 1000).await.unwrap();
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.pending, backlog.disabled_endpoints), (3, 1), "what is born while disabled is kept");

    // Another URL brings the endpoint back, with everything that is owed.
    store.close().await.unwrap();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/new"));
    let store = site.store().await;
    let back = due(&*store, 99_000).await;
    assert_eq!((back.webhook.url.as_str(), back.deliveries.len()), ("https://hooks.example.com/new", 3));
}

#[tokio::test]
async fn a_removed_trunk_still_gets_what_is_owed_and_a_removed_webhook_parks_it() {
    let site = site();
    let store = site.store().await;
    store.ingest(batch(1, vec![initiated(call_id(1), "acme", 100)]), 1000).await.unwrap();
    store.close().await.unwrap();

    site.write("a.toml", "");
    let store = site.store().await;
    store.ingest(batch(2, vec![answered(call_id(1), "acme", 900)]), 1000).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().pending, 2, "its last calls are still told");
    store.close().await.unwrap();

    site.write("a.toml", "[[trunk]]\ntrunkId = \"acme\"\n");
    let store = site.store().await;
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.pending, backlog.parked), (0, 2));
}

/// What is still known of the secrets of endpoints.
fn secrets(site: &Site) -> Vec<(String, Option<String>)> {
    let database = rusqlite::Connection::open(site.database()).unwrap();
    let mut select = database.prepare("SELECT secret, old_secret FROM endpoints").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn what_a_disabled_endpoint_is_owed_is_parked_when_its_trunk_goes() {
    let site = site();
    let store = site.store().await;
    store.ingest(batch(1, vec![initiated(call_id(1), "acme", 100)]), 1000).await.unwrap();
    store.enable_endpoint("acme".into(), false, 1001).await.unwrap().expect("there is one");
    assert_eq!(store.backlog().await.unwrap().pending, 1);
    store.close().await.unwrap();

    site.write("a.toml", "");
    let store = site.store().await;
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.pending, backlog.parked, backlog.disabled_endpoints), (0, 1, 0));
    let written = store.ingest(batch(2, vec![answered(call_id(1), "acme", 900)]), 1002).await.unwrap();
    assert_eq!((written.events, written.endpoints.len()), (1, 0), "nothing more is owed");
    assert_eq!(secrets(&site), [(String::new(), None)]);
}

#[tokio::test]
async fn a_receiver_that_ends_the_endpoint_of_a_removed_trunk_ends_it_for_good() {
    let site = site();
    let store = site.store().await;
    let records = (1..=2).map(|index| initiated(call_id(index), "acme", 100)).collect();
    store.ingest(batch(2, records), 1000).await.unwrap();
    store.close().await.unwrap();
    site.write("a.toml", "");
    let store = site.store().await;
    let first = due(&*store, 1000).await.deliveries[0].id;
    store.record(vec![attempt(first, 1, Then::Disable)]).await.unwrap();
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.pending, backlog.parked, backlog.disabled_endpoints), (0, 2, 0));
    assert_eq!(secrets(&site), [(String::new(), None)]);
}
