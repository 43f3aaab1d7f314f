//! One endpoint is dead and has a backlog of 100,000; what the others' customers notice of it.
//!
//! The same calls are told twice, without the dead endpoint and with it, from the ring to the receiver. A machine that is
//! busy with something else is slow both times.

use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use trunkd::app::Daemon;
use uuid::Uuid;

use crate::receiver::{Answer, Receiver};
use crate::ring::{module, push_ended};
use crate::support::{Site, trunk_with_webhook, until};

const TRUNKS: u128 = 20;
const CALLS: u128 = 600;
const PER_SECOND: u32 = 200;
const BACKLOG: i64 = 100_000;

/// Half and 99 in 100 of the calls were told within so long after their end.
#[derive(Debug)]
struct Delays {
    p50: Duration,
    p99: Duration,
}

/// Ends calls at a steady rate on a running daemon and waits until all of them were told.
async fn delays(site: &Site, receiver: &Receiver) -> Delays {
    let daemon = Daemon::start(site.main(), site.load().into(), None).await.unwrap();
    let module = module(&site.shm(), 1024);
    let before = receiver.received().len();
    let mut pushed = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    for index in 0..CALLS {
        tick.tick().await;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let call = Uuid::from_u128((before as u128) << 64 | index);
        pushed.push((call, Instant::now()));
        push_ended(&module, call, &format!("t{}", index % TRUNKS), now_ms - 7_001);
    }
    let all = before + CALLS as usize;
    until("all calls to be told", async || (receiver.received().len() >= all).then_some(())).await;
    daemon.stop().await.unwrap();
    drop(module);
    std::fs::remove_dir_all(site.shm()).unwrap();

    let received = receiver.received();
    let told = |call: Uuid| {
        let id = format!("evt_{}_2", call.simple());
        received.iter().find(|event| event.id() == id).unwrap().at
    };
    let mut delays: Vec<_> = pushed.into_iter().map(|(call, at)| told(call) - at).collect();
    delays.sort();
    Delays { p50: delays[delays.len() / 2], p99: delays[delays.len() * 99 / 100] }
}

/// Owes the dead endpoint its backlog.
fn owe(site: &Site) {
    let db = rusqlite::Connection::open(site.database()).unwrap();
    db.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {BACKLOG})
         INSERT INTO events (event_id, call_id, sequence, type, trunk_id, created_ms, body)
         SELECT 'evt_dead_' || i, randomblob(16), 0, 'call.initiated', 'dead', 1, '{{}}' FROM n;
         INSERT INTO deliveries (position, endpoint_id, call_id, sequence, state, attempts, next_attempt_ms)
         SELECT position, endpoint_id, call_id, 0, 'pending', 0, 1
         FROM events JOIN endpoints ON endpoints.trunk_id = 'dead' WHERE event_id LIKE 'evt_dead_%';
         COMMIT;"
    ))
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_with_a_backlog_delays_nobody_elses_events() {
    let receiver = Receiver::start(Answer::Status(204)).await;
    // Takes connections as long as its queue has room, and never says a word.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new();
    let mut trunks = trunk_with_webhook("dead", &format!("http://{}/", dead.local_addr().unwrap()));
    for index in 0..TRUNKS {
        trunks += &trunk_with_webhook(&format!("t{index}"), &receiver.url);
    }
    site.write("a.toml", &trunks.replace("[[trunk.ipAcls]]\nipAddress = \"127.0.0.1\"\n", ""));

    let without = delays(&site, &receiver).await;
    owe(&site);
    let with = delays(&site, &receiver).await;
    println!("from the end of a call to its POST: without {without:?}, with {with:?}");

    // Whoever waited for the dead endpoint would wait for seconds times its backlog. The bars themselves are held against a
    // machine that does nothing else: the proof says so.
    let alone = std::env::var_os("TRUNKLINE_ALONE").is_some();
    let most = |bar: Duration, without: Duration| if alone { bar } else { bar.max(without * 5) };
    assert!(with.p50 <= most(Duration::from_millis(100), without.p50), "{with:?}, and {without:?} without");
    assert!(with.p99 <= most(Duration::from_millis(500), without.p99), "{with:?}, and {without:?} without");
    let store = site.store().await;
    assert!(store.backlog().await.unwrap().pending >= BACKLOG, "nothing of the backlog is lost");
}
