//! A full disk under the events: calls are judged as before, ring and spill file hold what happens to them, the alarm is
//! raised, and once there is space every event is written down and told, each once.

use uuid::Uuid;

use crate::daemon::get_at;
use crate::receiver::{Answer, Receiver};
use crate::ring::{admit, module_with_spill, push_whole_call};
use crate::support::{Site, trunk_with_webhook, until};
use crate::trouble::{fill, on_small_disk, own_file_systems};

const CALLS: u128 = 400;
const RING: u32 = 64;

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_and_every_event_is_told_once_there_is_space() {
    let Some(way) = own_file_systems() else {
        eprintln!("not tried: TRUNKLINE_NO_MOUNT");
        return;
    };
    let receiver = Receiver::start(Answer::Status(200)).await;
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", &receiver.url));
    let (daemon, disk) = on_small_disk(&site, way, 32);
    let mut module = module_with_spill(&site.shm(), RING, 8_192);
    let filler = disk.join("filler");
    fill(&filler);

    // Until the log has no place left that was reserved before, some may still be written.
    let mut calls = (1..=CALLS).map(Uuid::from_u128);
    let mut pushed = Vec::new();
    until("an event that cannot be written", async || {
        for call in calls.by_ref().take(5) {
            push_whole_call(&module, call, "acme");
            pushed.push(call);
        }
        let text = get_at(&daemon.api, "/metrics").await.1;
        text.contains("trunkline_store_errors_total{task=\"ingest\"}").then_some(())
    })
    .await;
    for call in calls {
        push_whole_call(&module, call, "acme");
        pushed.push(call);
    }
    admit(&mut module, "while the disk is full");
    until("the alarm", async || {
        let waits = daemon.metric("trunkline_ring_waiting").await > u64::from(RING);
        let state = daemon.state().await;
        (waits && state["ready"] == false && state["storeError"] == "the disk is full").then_some(())
    })
    .await;
    let before = daemon.metric("trunkline_store_errors_total{task=\"ingest\"}").await;
    until("another try", async || {
        (daemon.metric("trunkline_store_errors_total{task=\"ingest\"}").await > before).then_some(())
    })
    .await;
    assert!(
        receiver.received().len() < 3 * pushed.len() - RING as usize,
        "the ring alone could not hold them"
    );

    std::fs::remove_file(&filler).unwrap();
    receiver.all_events_of(&pushed).await;
    until("the end of the alarm", async || (daemon.state().await["ready"] == true).then_some(())).await;
    assert_eq!(daemon.metric("trunkline_ring_dropped").await, 0);
    assert_eq!(daemon.metric("trunkline_ring_waiting").await, 0);
}
