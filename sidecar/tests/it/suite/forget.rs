//! Retention: what is old goes in bounded steps; what is up, young or still owed stays.

use std::sync::Arc;
use std::time::Duration;

use trunkd::clock::Clock;
use trunkd::metrics::Metrics;
use trunkd::retention::{Deps, Retention};
use trunkd::store::{AttemptRecord, Batch, CallFilter, CallPage, EndpointId, Orphan, Store, Target, Then};
use uuid::Uuid;

use super::{Place, put, trunk, write};
use crate::support::initiated;

/// Whoever asks is told this time.
struct At(i64);

impl Clock for At {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

fn id(number: u32) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

/// Calls that began a second apart, of which every tenth is still up.
async fn filled(store: &dyn Store, trunk: &str, count: u32) {
    for number in 0..count {
        let at_ms = i64::from(number) * 1_000;
        let records = vec![initiated(id(number), trunk, at_ms)];
        store.ingest(Batch { ring_id: 7, last_sequence: u64::from(number), records }, at_ms).await.unwrap();
        if number % 10 != 0 {
            let orphan = Orphan { call: id(number), trunk_live: None, start_ms: at_ms, end_ms: None };
            store.reconcile(vec![orphan], at_ms + 1).await.unwrap();
        }
    }
}

async fn numbers(store: &dyn Store) -> Vec<i64> {
    let page = CallPage { limit: 10_000, ..CallPage::default() };
    let found = store.list_calls(CallFilter::default(), page).await.unwrap();
    found.calls.iter().rev().map(|call| call.start_ms / 1_000).collect()
}

pub(crate) async fn old_calls_go_in_bounded_steps(place: &dyn Place) {
    let store = place.open().await;
    filled(&*store, "t1", 60).await;
    let mut steps = Vec::new();
    loop {
        let gone = store.forget_calls(50_000, 20).await.unwrap();
        steps.push(gone);
        if gone < 20 {
            break;
        }
    }
    assert_eq!(steps, [20, 20, 5], "the 45 that have ended among the first 50");
    let up = (0..50).step_by(10);
    assert_eq!(numbers(&*store).await, up.chain(50..60).collect::<Vec<_>>());
    assert_eq!(store.forget_calls(50_000, 20).await.unwrap(), 0);
}

pub(crate) async fn retention_leaves_what_is_young_up_or_owed(place: &dyn Place) {
    let store = place.open().await;
    // It has a webhook, so each event is owed.
    write(&*store, 1, vec![put(&trunk("t1", None))]).await.unwrap();
    filled(&*store, "t1", 450).await;
    // All but every third delivery is over.
    let due = store.due(EndpointId(1), 1_000_000, 10_000).await.unwrap().unwrap().deliveries;
    let (mut kept, mut over) = (0, 0);
    for (index, delivery) in due.iter().enumerate() {
        if index % 3 == 0 {
            kept += 1;
            continue;
        }
        over += 1;
        let attempt = AttemptRecord {
            delivery: delivery.id,
            endpoint: EndpointId(1),
            target: Target::Url,
            number: 1,
            started_ms: delivery.created_ms,
            duration_ms: 1,
            outcome: "test",
            status: Some(200),
            error: None,
            answer: Vec::new(),
            then: if index % 3 == 1 { Then::Delivered } else { Then::Park },
        };
        store.record(vec![attempt]).await.unwrap();
    }
    assert!(kept > 100 && over > 200, "{kept} {over}");
    let metrics = Metrics::new().unwrap();
    let clock = Arc::new(At(Duration::from_secs(31 * 86_400 + 400).as_millis() as i64));
    let mut retention = Retention::new(Deps {
        store: Arc::clone(&store),
        clock,
        metrics: metrics.clone(),
        keep: Duration::from_secs(31 * 86_400),
        clock_checked_ms: None,
    });
    retention.forget().await.unwrap();
    assert_eq!(numbers(&*store).await, (0..400).step_by(10).chain(400..450).collect::<Vec<_>>());
    let text = metrics.text();
    assert!(text.contains("trunkline_forgotten_total{kind=\"call\"} 360"), "{text}");
    let gone = metrics.forgotten.with_label_values(&["event"]).get();
    assert!(gone > 200, "{gone}");
    let pending = store.backlog().await.unwrap().pending;
    retention.forget().await.unwrap();
    assert_eq!(metrics.forgotten.with_label_values(&["event"]).get(), gone, "nothing more");
    assert_eq!(store.backlog().await.unwrap().pending, pending, "what is owed stays owed");
}

/// A clock that can be set.
struct Set(std::sync::atomic::AtomicI64);

impl Clock for Set {
    fn now_ms(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

pub(crate) async fn nothing_is_forgotten_by_a_clock_that_went_ahead(place: &dyn Place) {
    const DAY_MS: i64 = 86_400_000;
    let store = place.open().await;
    filled(&*store, "t1", 20).await;
    let ended = 18;
    let metrics = Metrics::new().unwrap();
    let clock = Arc::new(Set(25_000.into()));
    let retention = |clock_checked_ms| {
        Retention::new(Deps {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: metrics.clone(),
            keep: Duration::from_secs(31 * 86_400),
            clock_checked_ms,
        })
    };
    let gone = || metrics.forgotten.with_label_values(&["call"]).get();
    let set = |to_ms| clock.0.store(to_ms, std::sync::atomic::Ordering::Relaxed);
    let mut running = retention(None);
    running.forget().await.unwrap();
    assert_eq!((gone(), metrics.retention_held.get()), (0, 0));
    let ahead_ms = 3_650 * DAY_MS;
    set(ahead_ms);
    // What comes in by the wrong clock makes it no better, and neither does a restart.
    let records = vec![initiated(id(99), "t1", ahead_ms)];
    store.ingest(Batch { ring_id: 7, last_sequence: 99, records }, ahead_ms).await.unwrap();
    running.forget().await.unwrap();
    assert_eq!((gone(), metrics.retention_held.get()), (0, 1));
    let mut restarted = retention(None);
    restarted.forget().await.unwrap();
    assert_eq!((gone(), metrics.retention_held.get()), (0, 1));
    set(26_000);
    restarted.forget().await.unwrap();
    assert_eq!((gone(), metrics.retention_held.get()), (0, 0), "it is right again");
    set(ahead_ms);
    retention(Some(ahead_ms - DAY_MS)).forget().await.unwrap();
    assert_eq!((gone(), metrics.retention_held.get()), (ended, 0), "somebody has looked at it");
}
