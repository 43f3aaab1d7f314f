//! Days of deliveries in seconds: the dispatcher over an outbox in memory and a network that is played, on a clock that
//! moves by itself whenever nobody has anything to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trunkd::clock::{Clock, TokioClock};
use trunkd::metrics::Metrics;
use trunkd::store::Outbox;
use trunkd::webhook::client::{Answer, Request, Sending, Transport};
use trunkd::webhook::retry::{Next, spread};
use trunkd::webhook::{Dispatcher, Wakes};

use crate::memory_outbox::{MemoryOutbox, Row, State};
use crate::support::Site;

/// When the clock starts.
const START_MS: i64 = 1_800_000_000_000;

/// Events with a schedule of their own, each 96 hours long: some, or as many as a proof asks for.
fn events() -> i64 {
    std::env::var("TRUNKLINE_DAYS_EVENTS").map_or(2_000, |number| number.parse().expect("a number of events"))
}

/// When each attempt began and ended, by event.
type Seen = HashMap<String, Vec<(Instant, Instant)>>;

/// What an attempt at an event is answered, and after how long.
type Answering = dyn Fn(&str, usize) -> (u16, Duration) + Send + Sync;

/// A network that answers after a while what it is told to.
struct Network {
    seen: Mutex<Seen>,
    answer: Box<Answering>,
}

impl Network {
    fn new(answer: impl Fn(&str, usize) -> (u16, Duration) + Send + Sync + 'static) -> Arc<Network> {
        Arc::new(Network { seen: Mutex::default(), answer: Box::new(answer) })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl Transport for Network {
    fn send(&self, request: Request) -> Sending<'_> {
        let started = Instant::now();
        let number = self.seen().get(&request.event_id).map_or(1, |attempts| attempts.len() + 1);
        let (status, after) = (self.answer)(&request.event_id, number);
        Box::pin(async move {
            if after > Duration::ZERO {
                tokio::time::sleep(after).await;
            }
            self.seen().entry(request.event_id).or_default().push((started, Instant::now()));
            Ok(Answer { status, retry_after: None, body: Vec::new(), cut: None })
        })
    }
}

/// Delivers until nothing is pending any more.
async fn deliver(outbox: &Arc<MemoryOutbox>, network: &Arc<Network>) {
    deliver_by(Arc::new(TokioClock::starting_at(START_MS)), outbox, network).await;
}

async fn deliver_by(clock: Arc<dyn Clock>, outbox: &Arc<MemoryOutbox>, network: &Arc<Network>) {
    let (_settings, watched) = watch::channel(Site::new().load().webhooks);
    let (transport, stop) = (Arc::clone(network), CancellationToken::new());
    let dispatcher = Dispatcher::new(
        watched,
        transport,
        Arc::clone(outbox) as Arc<dyn Outbox>,
        clock,
        Metrics::new().unwrap(),
        Wakes::default(),
    );
    let running = tokio::spawn(dispatcher.run(stop.clone()));
    outbox.emptied().await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_event_is_tried_twelve_times_to_the_second_and_then_parked() {
    let events = events();
    let rows = (0..events).map(|index| Row::new(index, index, 0));
    let outbox = MemoryOutbox::new(rows.collect());
    let network = Network::new(|_, _| (500, Duration::ZERO));
    deliver(&outbox, &network).await;

    let schedule = Site::new().load().webhooks.schedule;
    let seen = network.seen();
    assert_eq!(seen.len() as i64, events);
    for (event, attempts) in &*seen {
        assert_eq!(attempts.len(), 12, "{event}");
        for (number, pair) in (1..).zip(attempts.windows(2)) {
            let Next::RetryIn(wanted) = schedule.after(number, None, spread(event, number)) else {
                panic!("attempt {number} was the last")
            };
            let waited = pair[1].0 - pair[0].1;
            assert!(
                waited.abs_diff(wanted) < Duration::from_millis(10),
                "{event}: {waited:?}, not {wanted:?}"
            );
        }
        let total = attempts[11].0 - attempts[0].0;
        assert!(total >= Duration::from_secs(76 * 3600), "{event}: {total:?}");
    }
    assert_eq!(outbox.count(State::Parked) as i64, events);
}

#[tokio::test(start_paused = true)]
async fn no_event_of_a_call_overtakes_another_and_no_call_waits_for_another() {
    // Three events of each call to one endpoint in four; one call in ten fails at first.
    let rows = (0..3_000).map(|index| Row::new(index / 3 % 4, index / 3, (index % 3) as u8));
    let outbox = MemoryOutbox::new(rows.collect());
    let network = Network::new(|event, number| {
        let latency = Duration::from_secs_f64(5.0 * spread(event, 99));
        let fails = spread(&event[..event.len() - 1], 7) < 0.1 && number == 1;
        (if fails { 503 } else { 200 }, latency)
    });
    deliver(&outbox, &network).await;

    let seen = network.seen();
    let mut last_end = HashMap::new();
    for call in 0..1_000 {
        for sequence in 1..3 {
            let (before, after) =
                (&seen[&Row::event(call, sequence - 1)], &seen[&Row::event(call, sequence)]);
            assert!(
                before[0].1 <= after[0].0,
                "call {call}: event {sequence} began before the one before it ended"
            );
        }
        let end = seen[&Row::event(call, 2)].last().unwrap().1;
        let last: &mut Instant = last_end.entry(call % 4).or_insert(end);
        *last = end.max(*last);
    }
    assert_eq!(outbox.count(State::Delivered), 3_000);
    // 750 events of 2.5 s on average, up to eight at once: minutes, not the hour that a queue would take behind each failure.
    let slowest = last_end
        .values()
        .max()
        .unwrap()
        .duration_since(seen.values().map(|attempts| attempts[0].0).min().unwrap());
    assert!(slowest < Duration::from_secs(3600), "{slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backlog_keeps_its_attempts_while_its_receiver_is_down() {
    // An hour of darkness over 1,000 events.
    const DARK: Duration = Duration::from_secs(3600);
    let outbox = MemoryOutbox::new((0..1_000).map(|index| Row::new(1, index, 0)).collect());
    let began = Instant::now();
    let answer =
        move |_: &str, _| (if began.elapsed() < DARK { 503 } else { 204 }, Duration::from_millis(20));
    let network = Network::new(answer);
    deliver(&outbox, &network).await;
    let seen = network.seen();
    let attempts: usize = seen.values().map(Vec::len).sum();
    assert!(attempts < 1_000 + 60, "{attempts} attempts: the receiver was hardly left alone");
    let last = seen.values().map(|attempts| attempts.last().unwrap().1).max().unwrap();
    assert!(last - began < DARK + Duration::from_secs(600), "it came back only after {:?}", last - began);
    assert_eq!(outbox.count(State::Delivered), 1_000);
}

/// A clock that can be set.
struct Set(TokioClock, AtomicI64);

impl Clock for Set {
    fn now_ms(&self) -> i64 {
        self.0.now_ms() + self.1.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_by_years_stretches_no_wait() {
    // Five failures: the wait after the fifth is two hours.
    let network = Network::new(|_, number| (if number <= 5 { 500 } else { 200 }, Duration::ZERO));
    let outbox = MemoryOutbox::new(vec![Row::new(1, 1, 0)]);
    let clock = Arc::new(Set(TokioClock::starting_at(START_MS), AtomicI64::new(0)));
    let setter = async {
        while network.seen().get(&Row::event(1, 0)).is_none_or(|attempts| attempts.len() < 5) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        clock.1.store(-10 * 365 * 86_400_000, Ordering::Relaxed);
    };
    tokio::join!(deliver_by(Arc::clone(&clock) as Arc<dyn Clock>, &outbox, &network), setter);
    let seen = network.seen();
    let attempts = &seen[&Row::event(1, 0)];
    let waited = attempts[5].0 - attempts[4].0;
    let noticed = Duration::from_secs(5);
    assert!(
        waited > Duration::from_secs(5_700) && waited < Duration::from_secs(8_640) + noticed,
        "{waited:?}"
    );
}
