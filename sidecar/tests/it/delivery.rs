//! Deliveries to real receivers, good and hostile ones.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trunkd::clock::SystemClock;
use trunkd::metrics::Metrics;
use trunkd::store::Store;
use trunkd::webhook::client::Clients;
use trunkd::webhook::{Dispatcher, Wakes};

use crate::receiver::{Answer, Receiver};
use crate::support::{Site, answered, batch, call_id, initiated, trunk_with_webhook, until};

struct Delivering {
    store: Arc<dyn Store>,
    wakes: Wakes,
    metrics: Metrics,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Delivering {
    async fn start(site: &Site) -> Delivering {
        let store = site.store().await;
        let (settings, watched) = watch::channel(site.load().webhooks);
        let (wakes, metrics, stop) = (Wakes::default(), Metrics::new().unwrap(), CancellationToken::new());
        let transport = Arc::new(Clients::new(watched.clone()));
        let clock = Arc::new(SystemClock);
        let dispatcher =
            Dispatcher::new(watched, transport, store.clone(), clock, metrics.clone(), wakes.clone());
        let task = dispatcher.run(stop.clone());
        let running = tokio::spawn(async move {
            let _settings = settings;
            task.await;
        });
        Delivering { store, wakes, metrics, stop, running }
    }

    async fn call(&self, index: u8, trunk: &str) {
        let records = vec![initiated(call_id(index), trunk, 100), answered(call_id(index), trunk, 900)];
        let written = self.store.ingest(batch(u64::from(index), records), 1000).await.unwrap();
        self.wakes.wake(&written.endpoints);
    }

    fn attempts(&self, outcome: &str) -> u64 {
        self.metrics.attempts.with_label_values(&[outcome]).get()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// Outcome, status, error and answer of each attempt.
type AttemptRow = (String, Option<u16>, Option<String>, Vec<u8>);

fn attempt_rows(site: &Site) -> Vec<AttemptRow> {
    let db = rusqlite::Connection::open(site.database()).unwrap();
    let mut select = db
        .prepare("SELECT outcome, status, error, answer FROM delivery_attempts ORDER BY attempt_id")
        .unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn events_arrive_signed_in_order_and_once() {
    let receiver = Receiver::start(Answer::Status(204)).await;
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", &receiver.url));
    let delivering = Delivering::start(&site).await;
    for index in 1..=20 {
        delivering.call(index, "acme").await;
    }
    until("40 events", async || (receiver.received().len() >= 40).then_some(())).await;
    until("an empty outbox", async || (delivering.store.backlog().await.unwrap().pending == 0).then_some(()))
        .await;
    delivering.stop().await;

    let received = receiver.received();
    assert_eq!(received.len(), 40);
    for event in &received {
        assert!(event.verified(), "{event:?}");
        assert!(!event.id().contains('.'));
        assert_eq!(event.header("content-type"), "application/json");
    }
    for index in 1..=20 {
        let call = call_id(index).to_string();
        let of_call: Vec<_> = received
            .iter()
            .map(|event| event.json())
            .filter(|json| json["data"]["callId"] == call.as_str())
            .collect();
        let types: Vec<_> = of_call
            .iter()
            .map(|json| (json["type"].as_str().unwrap(), json["data"]["sequence"].as_u64().unwrap()))
            .collect();
        assert_eq!(types, [("call.initiated", 0), ("call.answered", 1)]);
        assert_eq!(of_call[0]["timestamp"], "1970-01-01T00:00:00.100Z");
        assert_eq!(of_call[0]["data"]["trunkId"], "acme");
        assert_eq!(of_call[1]["data"]["from"], "+15550100001");
    }
    let rows = attempt_rows(&site);
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.0 == "delivered" && row.1 == Some(204)));
}

#[tokio::test]
async fn a_failed_event_comes_again_with_the_same_id() {
    let receiver = Receiver::start(Answer::Status(500)).await;
    let site = Site::new();
    site.write_main("retry_delays_s = [1, 1, 1]");
    site.write("a.toml", &trunk_with_webhook("acme", &receiver.url));
    let delivering = Delivering::start(&site).await;
    delivering.call(1, "acme").await;
    until("a first attempt", async || (!receiver.received().is_empty()).then_some(())).await;
    receiver.answer(Answer::Status(200));
    until("both events delivered", async || (delivering.attempts("delivered") == 2).then_some(())).await;
    delivering.stop().await;
    let received = receiver.received();
    let ids: Vec<_> = received.iter().map(|event| event.id().to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
    assert!(received.iter().all(|event| event.verified()));
}

#[tokio::test]
async fn a_black_hole_holds_up_nobody_else() {
    let hole = Receiver::start(Answer::Silence).await;
    let receiver = Receiver::start(Answer::Status(200)).await;
    let site = Site::new();
    site.write_main("attempt_timeout_ms = 60000\nconnect_timeout_ms = 5000\n[shutdown]\ngrace_ms = 0");
    site.write("a.toml", &trunk_with_webhook("hole", &hole.url));
    site.write("b.toml", &trunk_with_webhook("acme", &receiver.url));
    let delivering = Delivering::start(&site).await;
    for index in 1..=50 {
        delivering.call(index, "hole").await;
    }
    until("the hole to swallow", async || (hole.received().len() >= 8).then_some(())).await;
    for index in 51..=60 {
        delivering.call(index, "acme").await;
    }
    until("the others' events", async || (receiver.received().len() == 20).then_some(())).await;
    assert_eq!(hole.received().len(), 8, "no more at once than the endpoint's own share");
    delivering.running.abort();
}

#[tokio::test]
async fn a_receiver_that_says_gone_is_asked_no_more() {
    let receiver = Receiver::start(Answer::Status(410)).await;
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", &receiver.url));
    let delivering = Delivering::start(&site).await;
    delivering.call(1, "acme").await;
    until("the endpoint to be disabled", async || {
        (delivering.store.backlog().await.unwrap().disabled_endpoints == 1).then_some(())
    })
    .await;
    delivering.call(2, "acme").await;
    let pending = delivering.store.backlog().await.unwrap().pending;
    delivering.stop().await;
    assert_eq!((receiver.received().len(), pending), (1, 4), "one attempt, nothing lost");
}

#[tokio::test]
async fn redirects_are_failures_and_long_answers_are_cut() {
    let target = Receiver::start(Answer::Status(200)).await;
    let redirecting = Receiver::start(Answer::Redirect(target.url.clone())).await;
    let long = Receiver::start(Answer::Long(1 << 20)).await;
    let failing = Receiver::start(Answer::LongFailure(1 << 20)).await;
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("redirecting", &redirecting.url));
    site.write("b.toml", &trunk_with_webhook("long", &long.url));
    site.write("c.toml", &trunk_with_webhook("failing", &failing.url));
    let delivering = Delivering::start(&site).await;
    delivering.call(1, "redirecting").await;
    delivering.call(2, "long").await;
    delivering.call(3, "failing").await;
    until("all attempts", async || {
        let failed = delivering.attempts("redirect") == 1 && delivering.attempts("error") == 1;
        (failed && delivering.attempts("delivered") == 2).then_some(())
    })
    .await;
    delivering.stop().await;
    assert!(target.received().is_empty(), "a redirect is never followed");
    let rows = attempt_rows(&site);
    for (outcome, kept) in [("delivered", 1 << 10), ("error", 16 << 10)] {
        let cut = rows.iter().find(|row| row.0 == outcome).unwrap();
        assert_eq!(cut.3.len(), kept, "{outcome}");
        assert!(cut.2.as_ref().unwrap().contains("longer"), "{:?}", cut.2);
    }
}

#[tokio::test]
async fn an_address_that_is_not_public_is_never_connected_to() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let site = Site::new();
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    site.write("a.toml", &trunk_with_webhook("literal", &receiver.url));
    site.write("b.toml", &trunk_with_webhook("name", &by_name));
    // Stored while the rules were open, delivered after they were closed.
    site.store().await.close().await.unwrap();
    let open = std::fs::read_to_string(site.main()).unwrap();
    let strict =
        open.replace("dangerous_allow_private_addresses = true", "dangerous_allow_private_addresses = false");
    let store = site.store().await;
    std::fs::write(site.main(), strict).unwrap();
    site.write("a.toml", "");
    site.write("b.toml", "");
    let (_settings, watched) = watch::channel(site.load().webhooks);
    let (wakes, metrics, stop) = (Wakes::default(), Metrics::new().unwrap(), CancellationToken::new());
    let transport = Arc::new(Clients::new(watched.clone()));
    let dispatcher = Dispatcher::new(
        watched,
        transport,
        store.clone(),
        Arc::new(SystemClock),
        metrics.clone(),
        wakes.clone(),
    );
    let running = tokio::spawn(dispatcher.run(stop.clone()));
    let records = vec![initiated(call_id(1), "literal", 100), initiated(call_id(2), "name", 100)];
    wakes.wake(&store.ingest(batch(1, records), 1000).await.unwrap().endpoints);
    until("both denied", async || (metrics.attempts.with_label_values(&["denied"]).get() == 2).then_some(()))
        .await;
    stop.cancel();
    running.await.unwrap();
    assert!(receiver.received().is_empty());
    assert!(attempt_rows(&site).iter().all(|row| row.0 == "denied"));
    let errors: Vec<_> = attempt_rows(&site).into_iter().filter_map(|row| row.2).collect();
    // Customers read it, so it does not say what a name leads to.
    let good = |error: &String| error.contains("is not a public address") && !error.contains("127.0.0.1");
    assert!(errors.iter().all(good), "{errors:?}");
}
