//! From the module's ring to the receiver, with the module's own code as the producer: Kamailio late, Kamailio made anew,
//! Kamailio dead, records that are damaged.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use trunk_admission::events::{Answered, BodyOut, EndCause, Ended, EventOut, Initiated, Party, Pushed};
use trunk_admission::instance::{Instance, Options};
use trunk_admission::{Admission, Attempt, Host, Kind, Now, Proof, Reason, Verdict};
use trunkd::app::Daemon;
use uuid::Uuid;

use crate::receiver::{Answer, Received, Receiver};
use crate::support::{Site, call_id, trunk_with_webhook, until};

/// What Kamailio does when it starts.
pub(crate) fn module(dir: &Path, ring_cells: u32) -> Instance {
    module_with_spill(dir, ring_cells, 0)
}

/// The same, with a file for what the ring cannot hold.
pub(crate) fn module_with_spill(dir: &Path, ring_cells: u32, spill_cells: u32) -> Instance {
    let options = Options {
        dir: dir.to_owned(),
        slots: 64,
        trunks: 64,
        accounts: 64,
        gateways: 64,
        processes: 4,
        ring_cells,
        spill_cells,
    };
    let mut instance = Instance::create(&options).unwrap();
    instance.enter_process(1, std::process::id(), 42);
    instance.refresh();
    instance
}

fn push_initiated(module: &Instance, call: Uuid, trunk: &str, reason: Option<Reason>) {
    push_judged(module, call, trunk, "", reason, 1_000);
}

/// A call that was judged at `wall_ms`.
pub(crate) fn push_judged(
    module: &Instance,
    call: Uuid,
    trunk: &str,
    account: &str,
    reason: Option<Reason>,
    wall_ms: u64,
) {
    let body = BodyOut::Initiated(Initiated {
        account: account.as_bytes(),
        kind: Kind::Trunk,
        reason,
        limit: 2,
        count: 2,
        wait_ms: 1500,
        generation: 1,
        source: "192.0.2.7".parse().unwrap(),
        source_port: 5062,
        sip_call_id: b"abc@host",
        from_user: b"+15550100001",
        from_host: b"pbx.example",
        to_user: b"al\xffice",
        request_uri: b"sip:alice@acme.sip.example.net",
    });
    push(module, call, trunk, wall_ms, body);
}

pub(crate) fn push_whole_call(module: &Instance, call: Uuid, trunk: &str) {
    push_whole_call_of(module, call, trunk, "", 1_000);
}

/// A call that was judged at `start`, rang half a second later, was answered after two, and ended after some seven.
pub(crate) fn push_whole_call_of(module: &Instance, call: Uuid, trunk: &str, account: &str, start: u64) {
    push_judged(module, call, trunk, account, None, start);
    let gateway = b"sip:127.0.0.1:5070";
    let answered =
        BodyOut::Answered(Answered { gateway: &gateway[..], attempts: 2, ring_wall_ms: start + 500 });
    push(module, call, trunk, start + 2_000, answered);
    push_ended(module, call, trunk, start);
}

/// The end of an answered call that was judged at `start`: some seven seconds later.
pub(crate) fn push_ended(module: &Instance, call: Uuid, trunk: &str, start: u64) {
    let gateway = b"sip:127.0.0.1:5070";
    let ended = BodyOut::Ended(Ended {
        sip_code: 200,
        q850: 16,
        by: Party::Callee,
        cause: EndCause::Bye,
        start_wall_ms: start,
        ring_wall_ms: start + 500,
        answer_wall_ms: start + 2_000,
        end_wall_ms: start + 7_001,
        gateway: &gateway[..],
        attempts: 2,
    });
    push(module, call, trunk, start + 7_001, ended);
}

fn push(module: &Instance, call: Uuid, trunk: &str, wall_ms: u64, body: BodyOut<'_>) {
    let event = EventOut { call: call.into_bytes(), wall_ms, trunk: trunk.as_bytes(), body };
    assert!(matches!(module.push(&event), Pushed::At(_) | Pushed::Spilled(_)));
}

async fn started(receiver: &Receiver) -> (Site, Daemon) {
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", &receiver.url));
    let daemon = Daemon::start(site.main(), site.load().into(), None).await.unwrap();
    (site, daemon)
}

async fn events(receiver: &Receiver, count: usize) -> Vec<Received> {
    until(&format!("{count} events"), async || {
        (receiver.received().len() >= count).then(|| receiver.received())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_becomes_a_row_and_three_signed_events() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let (site, daemon) = started(&receiver).await;
    // Kamailio starts later than the daemon.
    let module = module(&site.shm(), 16);
    push_whole_call(&module, call_id(1), "acme");
    push_initiated(&module, call_id(2), "acme", Some(Reason::CpsExceeded));
    push_initiated(&module, call_id(3), "", Some(Reason::UnknownDestination));
    let received = events(&receiver, 4).await;
    daemon.stop().await.unwrap();

    assert!(received.iter().all(Received::verified));
    let json: Vec<_> = received.iter().map(Received::json).collect();
    let of = |call: Uuid, kind: &str| {
        let wanted = call.to_string();
        json.iter().find(|json| json["type"] == kind && json["data"]["callId"] == wanted.as_str()).unwrap()["data"].clone()
    };
    let initiated = of(call_id(1), "call.initiated");
    assert_eq!((initiated["allowed"].as_bool(), initiated["to"].as_str()), (Some(true), Some("al\\xffice")));
    let hangup = of(call_id(1), "call.hangup");
    for (key, value) in [
        ("durationMs", 7_001),
        ("billableSeconds", 6),
        ("ringMs", 1_500),
        ("sipCode", 200),
        ("q850Cause", 16),
        ("attempts", 2),
    ] {
        assert_eq!(hangup[key].as_u64(), Some(value), "{key} in {hangup}");
    }
    for (key, value) in [
        ("status", "NORMAL_CLEARING"),
        ("hangupBy", "callee"),
        ("gateway", "sip:127.0.0.1:5070"),
        ("from", "+15550100001"),
        ("sipCallId", "abc@host"),
        ("endTime", "1970-01-01T00:00:08.001Z"),
    ] {
        assert_eq!(hangup[key].as_str(), Some(value), "{key} in {hangup}");
    }
    assert_eq!(hangup["reconciled"], false);
    let refused = of(call_id(2), "call.initiated");
    assert_eq!(
        (refused["allowed"].as_bool(), refused["reason"].as_str(), refused["sipCode"].as_u64()),
        (Some(false), Some("cps_exceeded"), Some(503))
    );
    assert_eq!(
        (refused["limit"].as_u64(), refused["count"].as_u64(), refused["retryAfterMs"].as_u64()),
        (Some(2), Some(2), Some(1500))
    );

    let db = rusqlite::Connection::open(site.database()).unwrap();
    let statuses: Vec<(Option<String>, Option<String>)> = db
        .prepare("SELECT trunk_id, status FROM calls ORDER BY call_id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        statuses,
        [
            (text("acme"), text("NORMAL_CLEARING")),
            (text("acme"), text("SWITCH_CONGESTION")),
            (None, text("UNALLOCATED_NUMBER"))
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_the_ring_is_taken_at_the_next_start_and_before_the_end() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let (site, daemon) = started(&receiver).await;
    let module = module(&site.shm(), 16);
    push_whole_call(&module, call_id(1), "acme");
    daemon.stop().await.unwrap();
    assert_eq!(module.status().ring.1, 0, "the ring is emptied before the daemon goes");

    push_whole_call(&module, call_id(2), "acme");
    let daemon = Daemon::start(site.main(), site.load().into(), None).await.unwrap();
    let received = events(&receiver, 6).await;
    daemon.stop().await.unwrap();
    let mut ids: Vec<_> = received.iter().map(|event| event.id().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_ring_is_followed_once_the_old_one_is_empty() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let (site, daemon) = started(&receiver).await;
    let first = module(&site.shm(), 16);
    push_whole_call(&first, call_id(1), "acme");
    until("the ring to be empty", async || (first.status().ring.1 == 0).then_some(())).await;
    drop(first);
    let second = module(&site.shm(), 32);
    push_whole_call(&second, call_id(2), "acme");
    events(&receiver, 6).await;
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_counted_and_skipped() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", &receiver.url));
    let module = module(&site.shm(), 16);
    push_initiated(&module, call_id(1), "acme", None);
    push_initiated(&module, call_id(2), "acme", None);
    // Somebody writes over a byte of the first record: the text that only it holds.
    let path = site.shm().join("events");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == b"abc@host").unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().write_at(b"X", at as u64).unwrap();

    let daemon = Daemon::start(site.main(), site.load().into(), None).await.unwrap();
    let received = events(&receiver, 1).await;
    assert_eq!(received[0].json()["data"]["callId"], call_id(2).to_string());
    let metrics = reqwest_text(&daemon).await;
    assert!(metrics.contains("trunkline_events_malformed_total{fault=\"damaged\"} 1"), "{metrics}");
    daemon.stop().await.unwrap();
    assert_eq!(module.status().ring.1, 0, "it blocks nobody");
}

async fn reqwest_text(daemon: &Daemon) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{}/metrics", daemon.address)).send().await.unwrap().text().await.unwrap()
}

/// A call that the module admits, as a worker would.
pub(crate) fn admit(module: &mut Instance, call: &str) -> Admission {
    admit_at(module, "acme.sip.example.net", call)
}

/// As [`admit`], for a trunk with this domain.
pub(crate) fn admit_at(module: &mut Instance, domain: &str, call: &str) -> Admission {
    let attempt = Attempt {
        host: &Host::new(domain.as_bytes()),
        user: b"alice",
        source: "127.0.0.1".parse().unwrap(),
        secure: false,
        call: module.call_key(call.as_bytes(), b"tag", 1),
    };
    module.refresh();
    let identity = module.identify(&attempt).unwrap();
    match module.admit(&identity, &attempt, Proof::None, Now::read()) {
        Verdict::Admitted(admission) => admission,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_dead_kamailio_end_once_as_unknown() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let (site, daemon) = started(&receiver).await;
    let mut first = module(&site.shm(), 16);
    let told = admit(&mut first, "told");
    let untold = admit(&mut first, "untold");
    let kept = admit(&mut first, "kept");
    for admission in [told, kept] {
        push_initiated(&first, Uuid::from_bytes(admission.uid), "acme", None);
    }
    events(&receiver, 2).await;
    let saved = first.call(kept.slot).unwrap();
    let key = first.call_key(b"kept", b"tag", 1);
    drop(first);

    // Kamailio dies and starts again, and restores one of the three dialogs.
    let second = module(&site.shm(), 16);
    second.adopt(&saved, key).unwrap();
    second.mark_restored();
    let received = events(&receiver, 4).await;
    daemon.stop().await.unwrap();

    // Another daemon finds nothing left to end.
    let daemon = Daemon::start(site.main(), site.load().into(), None).await.unwrap();
    until("orphans to be gone", async || second.live().orphans().is_empty().then_some(())).await;
    daemon.stop().await.unwrap();
    let mut hangups: Vec<_> = receiver
        .received()
        .iter()
        .map(Received::json)
        .filter(|json| json["type"] == "call.hangup")
        .map(|json| {
            let data = &json["data"];
            assert_eq!(
                (data["status"].as_str(), data["reconciled"].as_bool()),
                (Some("UNKNOWN"), Some(true))
            );
            assert_eq!(data["trunkId"], "acme");
            data["callId"].as_str().unwrap().to_owned()
        })
        .collect();
    hangups.sort();
    let mut wanted = [told, untold].map(|admission| Uuid::from_bytes(admission.uid).to_string());
    wanted.sort();
    assert_eq!(hangups, wanted);
    assert_eq!(received.len(), 4);
    assert_eq!(second.live().node_calls(), 1, "the restored call still counts");
}
