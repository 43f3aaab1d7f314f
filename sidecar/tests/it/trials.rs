//! Endpoints that failed last and wait for a turn, more of them than there are turns: where they send to when it comes, and
//! that none comes after the stop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkd::clock::TokioClock;
use trunkd::metrics::Metrics;
use trunkd::webhook::client::{Answer, Request, SendError, Sending, Transport};
use trunkd::webhook::{Dispatcher, TRIALS, Wakes};

use crate::memory_outbox::{MemoryOutbox, Row, State};
use crate::support::Site;

/// A network whose first answers are failures, and whose next ones take their time.
#[derive(Default)]
struct Slow {
    /// URLs, in the order in which they were asked.
    asked: Mutex<Vec<String>>,
}

const LATENCY: Duration = Duration::from_secs(10);

impl Transport for Slow {
    fn send(&self, request: Request) -> Sending<'_> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(request.url);
            asked.len()
        };
        Box::pin(async move {
            if number <= ENDPOINTS {
                return Err(SendError::Broken("not yet".into()));
            }
            tokio::time::sleep(LATENCY).await;
            Ok(Answer { status: 200, retry_after: None, body: Vec::new(), cut: None })
        })
    }
}

const ENDPOINTS: usize = TRIALS + 50;

struct World {
    outbox: Arc<MemoryOutbox>,
    network: Arc<Slow>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
    _settings: watch::Sender<trunkd::webhook::Settings>,
}

impl World {
    /// Every endpoint has failed once, as many as may are tried again, and the others wait for their turn.
    async fn waiting() -> World {
        let rows = (0..ENDPOINTS as i64).map(|index| Row::new(index, index, 0));
        let outbox = MemoryOutbox::new(rows.collect());
        let (settings, watched) = watch::channel(Site::new().load().webhooks);
        let (network, stop) = (Arc::new(Slow::default()), CancellationToken::new());
        let clock = Arc::new(TokioClock::starting_at(1_800_000_000_000));
        let (metrics, wakes) = (Metrics::new().unwrap(), Wakes::default());
        let dispatcher = Dispatcher::new(watched, network.clone(), outbox.clone(), clock, metrics, wakes);
        let running = tokio::spawn(dispatcher.run(stop.clone()));
        // The first wait is of 5 s, a fifth more or less; then all that may be are under way.
        while network.asked.lock().unwrap().len() < ENDPOINTS + TRIALS {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        World { outbox, network, stop, running, _settings: settings }
    }

    fn asked(&self) -> Vec<String> {
        self.network.asked.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waited_for_a_turn_sends_to_where_events_go_now() {
    let world = World::waiting().await;
    let before = world.asked().len();
    world.outbox.set_url("https://new.example.com/");
    world.outbox.emptied().await;
    let asked = world.asked();
    assert_eq!(asked.len(), 2 * ENDPOINTS, "each once more");
    assert!(asked[before..].iter().all(|url| url == "https://new.example.com/"), "an old URL was asked");
    assert_eq!(world.outbox.count(State::Delivered), ENDPOINTS);
    world.stop.cancel();
    world.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_the_stop_nobody_who_waited_sends() {
    let world = World::waiting().await;
    let before = world.asked().len();
    world.stop.cancel();
    world.running.await.unwrap();
    assert_eq!(world.network.asked.lock().unwrap().len(), before);
}
