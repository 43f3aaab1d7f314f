//! The binary killed over and over while calls go on: every event arrives, signed, under one id.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng as _;
use uuid::Uuid;

use crate::command::Running;
use crate::receiver::{Answer, Received, Receiver};
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
    let wanted: BTreeSet<String> = calls
        .iter()
        .flat_map(|call| (0..3).map(move |part| format!("evt_{}_{part}", call.simple())))
        .collect();
    let received = until("every event", async || {
        let received = receiver.received();
        let ids: BTreeSet<String> = received.iter().map(|event| event.id().to_owned()).collect();
        (ids.len() >= wanted.len()).then_some(received)
    })
    .await;
    assert!(received.iter().all(Received::verified));
    let ids: BTreeSet<String> = received.iter().map(|event| event.id().to_owned()).collect();
    assert_eq!(ids, wanted);
    println!("{} events over {KILLS} kills, {} attempts more", wanted.len(), received.len() - wanted.len());
}
