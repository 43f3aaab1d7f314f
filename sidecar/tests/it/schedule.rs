//! The whole retry schedule, days of it, on a clock that the test moves.
//!
//! The store is real and answers from its own threads, so the clock must stand still while it works: a blocking task that
//! lives as long as the test keeps tokio from moving the paused clock by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, advance};
use tokio_util::sync::CancellationToken;
use trunkd::clock::TokioClock;
use trunkd::metrics::Metrics;
use trunkd::store::Store;
use trunkd::webhook::client::{Answer, Request, Sending, Transport};
use trunkd::webhook::{Dispatcher, Wakes};

use crate::support::{Site, batch, call_id, initiated, trunk_with_webhook};

/// A network on which every receiver is in trouble.
#[derive(Default)]
struct Trouble {
    started: Mutex<Vec<(Instant, String, i64)>>,
}

impl Transport for Trouble {
    fn send(&self, request: Request) -> Sending<'_> {
        let seen = (Instant::now(), request.event_id, request.timestamp_s);
        self.started.lock().unwrap().push(seen);
        Box::pin(async { Ok(Answer { status: 500, retry_after: None, body: Vec::new(), cut: None }) })
    }
}

/// Keeps the paused clock where the test puts it.
struct HoldClock(Option<std::sync::mpsc::Sender<()>>);

impl HoldClock {
    fn new() -> HoldClock {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || held.recv());
        HoldClock(Some(hold))
    }
}

impl Drop for HoldClock {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

/// Lets everything that can happen now happen: the last attempt is written down, and the worker has asked for the next.
/// Each question goes to another of the store's threads, behind what was asked of it before.
async fn settle(store: &dyn Store) {
    for _ in 0..20 {
        tokio::task::yield_now().await;
        store.touch_tokens(Vec::new()).await.unwrap();
        store.revision().await.unwrap();
        store.backlog().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn twelve_attempts_over_days_and_then_the_event_is_parked() {
    let _hold = HoldClock::new();
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    let settings = site.load().webhooks;
    let planned: Vec<f64> =
        [5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 64_800, 79_200, 86_400].map(f64::from).to_vec();
    let store = site.store().await;
    let clock = Arc::new(TokioClock::starting_at(1_800_000_000_000));
    store.ingest(batch(1, vec![initiated(call_id(1), "acme", 100)]), 1_800_000_000_000).await.unwrap();

    let (_settings, watched) = watch::channel(settings);
    let trouble = Arc::new(Trouble::default());
    let stop = CancellationToken::new();
    let dispatcher = Dispatcher::new(
        watched,
        Arc::clone(&trouble) as Arc<dyn Transport>,
        store.clone(),
        clock,
        Metrics::new().unwrap(),
        Wakes::default(),
    );
    let running = tokio::spawn(dispatcher.run(stop.clone()));

    settle(&*store).await;
    let mut steps = 0;
    while store.backlog().await.unwrap().pending > 0 {
        let due = store.due(trunkd::store::EndpointId(1), 0, 1).await.unwrap().unwrap();
        let now_ms = 1_800_000_000_000
            + i64::try_from(trouble.started.lock().unwrap()[0].0.elapsed().as_millis()).unwrap();
        let wait = due.next_ms.unwrap() - now_ms;
        // In strides of the worker's longest sleep, as a real clock would pass.
        let mut left = Duration::from_millis(u64::try_from(wait).unwrap_or(0) + 1);
        while !left.is_zero() {
            let stride = left.min(Duration::from_secs(600));
            advance(stride).await;
            left -= stride;
        }
        settle(&*store).await;
        steps += 1;
        assert!(steps < 50, "attempts: {:?}", trouble.started.lock().unwrap());
    }
    stop.cancel();
    running.await.unwrap();

    let started = trouble.started.lock().unwrap().clone();
    assert_eq!(started.len(), 12);
    assert!(started.iter().all(|(_, id, _)| id == &started[0].1), "the id stays the same");
    assert!(started.windows(2).all(|pair| pair[0].2 < pair[1].2), "the timestamp is fresh");
    for (index, pair) in started.windows(2).enumerate() {
        let waited = (pair[1].0 - pair[0].0).as_secs_f64();
        let (least, most) = (planned[index] * 0.8, planned[index] * 1.2 + 0.01);
        assert!((least..=most).contains(&waited), "wait {index}: {waited} s, planned {} s", planned[index]);
    }
    let total = (started[11].0 - started[0].0).as_secs();
    assert!(total >= 76 * 3600, "{total} s");
    assert_eq!(store.backlog().await.unwrap().parked, 1);
}
