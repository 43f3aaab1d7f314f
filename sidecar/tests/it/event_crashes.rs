//! trunkd killed at every step from the ring to the disk and from there to the receiver, twenty times at each: every call is in
//! the log once and whole, and every event is told under the one id it has.
//!
//! Built with the feature `crash-points` only.

use rusqlite::Connection;
use trunk_admission::crash;
use trunkd::clock::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::command::Running;
use crate::receiver::{Answer, Receiver};
use crate::ring::{module, push_whole_call_of};
use crate::support::{Site, trunk_with_webhook, until};

/// Whether trunkd comes to a point when calls are told, and at no write.
pub(crate) fn of_events(point: &str) -> bool {
    point.starts_with("ingest.") || point.starts_with("delivery.")
}

/// Deaths at each point.
const DEATHS: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_there_once_and_whole_wherever_trunkd_dies() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", &receiver.url));
    let module = module(&site.shm(), 4096);
    let waiting = || module.status().ring.1;
    // Of today: older calls than the log keeps would be gone before they are counted.
    let start = u64::try_from(SystemClock.now_ms()).unwrap();
    let mut calls: Vec<Uuid> = Vec::new();
    let points: Vec<_> = trunkd::crash::POINTS.iter().filter(|name| of_events(name)).collect();
    assert_eq!(points.len(), 9);
    let mut deaths = 0;
    for (point, death) in points.iter().flat_map(|point| (0..DEATHS).map(move |death| (point, death))) {
        // At the first, second or third time: within a batch of events or attempts, and between batches.
        let (mut running, ready) =
            Running::start_with(&site, crash::VARIABLE, &format!("{point}:{}", death % 3 + 1));
        assert!(ready.starts_with("trunkd ready") || ready.is_empty(), "{ready}");
        while !running.has_ended() {
            let call = Uuid::from_u128(calls.len() as u128 + 1);
            push_whole_call_of(&module, call, "acme", "acme-inc", start);
            calls.push(call);
            until("a death or a batch", async || (running.has_ended() || waiting() == 0).then_some(())).await;
        }
        assert!(running.died(), "{point}: {}", running.last_words());
        deaths += 1;
    }
    assert_eq!(deaths, 9 * DEATHS);

    let (_running, _ready) = Running::start(&site);
    let received = receiver.all_events_of(&calls).await;
    let events = 3 * calls.len();
    let db = Connection::open(site.database()).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize;
    assert_eq!(count("SELECT count(*) FROM events"), events);
    assert_eq!(count("SELECT count(*) FROM deliveries"), events);
    assert_eq!(count("SELECT count(*) FROM calls"), calls.len());
    let whole = format!(
        "SELECT count(*) FROM calls WHERE status = 'NORMAL_CLEARING' AND account_id = 'acme-inc' AND start_ms = {start}
            AND ring_ms = {} AND answer_ms = {} AND end_ms = {} AND attempts = 2 AND reconciled = 0",
        start + 500,
        start + 2_000,
        start + 7_001
    );
    assert_eq!(count(&whole), calls.len());
    println!("{deaths} deaths, {} calls, {} attempts more", calls.len(), received.len() - events);
}
