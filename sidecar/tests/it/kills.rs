//! The binary killed over and over: while calls go on, every event arrives, signed, under one id; while the API is written
//! to, what was answered is there, and what was not is there whole or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;
use trunkd::domain::Trunk;
use trunkd::store::sqlite::SqliteStore;
use trunkd::store::{AuditFilter, Page, Store as _};
use uuid::Uuid;

use crate::api::{Caller, admin_token, with_json};
use crate::command::{Running, api_of};
use crate::receiver::{Answer, Receiver};
use crate::ring::{module, push_whole_call};
use crate::support::{Site, trunk_with_webhook, until};

const CALLS: u32 = 600;
const KILLS: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_over_kills_and_none_has_two_ids() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", &receiver.url));
    let module = module(&site.shm(), 4096);
    let calls: Vec<Uuid> = (0..CALLS).map(|index| Uuid::from_u128(u128::from(index) + 1)).collect();
    let per_life = calls.len().div_ceil(KILLS as usize);
    for some in calls.chunks(per_life) {
        let (running, _ready) = Running::start(&site);
        for call in some {
            push_whole_call(&module, *call, "acme");
        }
        // A moment of its life that nobody chose: this varies what the kill hits, nothing waits for it.
        let life = rand::rng().random_range(0..300);
        tokio::time::sleep(Duration::from_millis(life)).await;
        drop(running); // SIGKILL
    }

    let (_running, _ready) = Running::start(&site);
    let received = receiver.all_events_of(&calls).await;
    let events = 3 * calls.len();
    println!("{events} events over {KILLS} kills, {} attempts more", received.len() - events);
}

/// Writes until its daemon is gone. What was answered goes into `done`.
async fn write_on(caller: Caller, life: u32, writer: u32, done: Arc<Mutex<Vec<String>>>) {
    for index in 0.. {
        let name = format!("{life}-{writer}-{index}");
        let body = json!([{"name": name, "credentials": [{"username": "a"}, {"username": "b"}]}, {"name": format!("{name}+")}]);
        let request = caller.request(reqwest::Method::POST, "/v1/trunks:batch");
        let Ok(answer) = with_json(request, &body).send().await else { return };
        match answer.status().as_u16() {
            201 => done.lock().unwrap().push(name),
            // Faster than one token may ask.
            429 => tokio::task::yield_now().await,
            other => panic!("{other}: {:?}", answer.text().await),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_any_kill_and_nothing_is_there_by_half() {
    let site = Site::new();
    let done = Arc::new(Mutex::new(Vec::new()));
    for life in 0..KILLS {
        let (running, ready) = Running::start(&site);
        let caller = Caller::at(api_of(&ready), &admin_token(&site));
        let before = done.lock().unwrap().len();
        let writers: Vec<_> = (0..4)
            .map(|writer| tokio::spawn(write_on(caller.clone(), life, writer, Arc::clone(&done))))
            .collect();
        // Some writes into its life, at a moment that nobody chose.
        let writes = before + rand::rng().random_range(1..20);
        until("some writes", async || (done.lock().unwrap().len() >= writes).then_some(())).await;
        drop(running); // SIGKILL
        for writer in writers {
            writer.await.unwrap();
        }
    }

    let store = SqliteStore::open(&site.database()).unwrap();
    let snapshot = store.snapshot().await.unwrap();
    let trunks: BTreeMap<&str, &Trunk> =
        snapshot.trunks.iter().map(|placed| (placed.item.name.as_str(), &placed.item)).collect();
    assert_eq!(trunks.len(), snapshot.trunks.len(), "nothing is there twice");
    let done = done.lock().unwrap().clone();
    for name in &done {
        assert!(trunks.contains_key(name.as_str()), "{name} was answered");
    }
    for (name, trunk) in &trunks {
        let other = name.strip_suffix('+').map_or_else(|| format!("{name}+"), str::to_owned);
        let twin = trunks.get(other.as_str()).unwrap_or_else(|| panic!("{name} without its twin"));
        assert_eq!(trunk.stamp.revision, twin.stamp.revision);
        assert_eq!(trunk.credentials.len(), if name.ends_with('+') { 0 } else { 2 });
    }
    let audit = store.list_audit(AuditFilter::default(), Page { limit: 0, offset: 0 }).await.unwrap();
    assert_eq!(
        audit.total as usize,
        trunks.len() + 2,
        "one row each, the node's and the token's beside them"
    );
    assert!(!store.check_kamailio(site.load().publish.capacity).await.unwrap(), "the tables agree");
    println!("{} writes answered, {} stored, over {KILLS} kills", done.len(), trunks.len() / 2);
}
