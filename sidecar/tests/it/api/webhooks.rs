//! Webhooks as their owners set them, try them, look at what was sent, and have it sent again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trunk_admission::instance::Instance;
use trunkd::app::Daemon;

use super::{Caller, daemon, text};
use crate::receiver::{Answer, Receiver};
use crate::ring::{module, push_ended, push_judged};
use crate::support::{Site, call_id, until};

/// A daemon, an account with a trunk that tells a receiver, and a Kamailio.
struct World {
    site: Site,
    daemon: Daemon,
    admin: Caller,
    me: Caller,
    account: String,
    trunk: String,
    /// Path of the trunk.
    path: String,
    secret: String,
    module: Instance,
}

impl World {
    async fn new(receiver: &Receiver, more: Value) -> World {
        let (site, daemon, admin) = daemon().await;
        let (account, me) = admin.tenant("acme").await;
        let mut body = json!({ "webhookUrl": receiver.url });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (path, made) = me.make("/v1/trunks?wait=applied", body).await;
        let (trunk, secret) =
            (text(&made.body["trunkId"]).to_owned(), text(&made.body["webhookSecret"]).to_owned());
        let module = module(&site.shm(), 64);
        World { site, daemon, admin, me, account, trunk, path, secret, module }
    }

    /// A call that comes and goes.
    fn call(&self, index: u8) {
        push_judged(&self.module, call_id(index), &self.trunk, &self.account, None, 1_000);
        push_ended(&self.module, call_id(index), &self.trunk, 1_000);
    }

    async fn deliveries(&self, query: &str) -> Vec<Value> {
        let listed = self.me.get(&format!("/v1/webhook-deliveries?{query}")).await.expect(200);
        listed.body["objects"].as_array().unwrap().clone()
    }

    /// Waits until so many deliveries have this state.
    async fn in_state(&self, state: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} {state}"), async || {
            let found = self.deliveries(&format!("state={state}&limit=100")).await;
            (found.len() == count).then_some(found)
        })
        .await
    }

    async fn stop(self) {
        self.daemon.stop().await.unwrap();
        drop(self.site);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_what_happened() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let world = World::new(&receiver, json!({})).await;
    let test = format!("{}/webhook/test", world.path);
    let done = world.me.post(&test, json!({})).await.expect(200).body;
    assert_eq!((&done["delivered"], done["attempts"].as_array().unwrap().len()), (&json!(true), 1), "{done}");
    let probe = receiver.received().pop().unwrap();
    assert!(probe.verified_by(&world.secret));
    assert_eq!((probe.id(), probe.json()["type"].as_str()), (text(&done["webhookId"]), Some("webhook.test")));

    receiver.answer(Answer::Status(503));
    let other = Receiver::start(Answer::Long(3)).await;
    world.me.patch(&world.path, json!({"webhookFallbackUrl": other.url})).await.expect(200);
    let done = world.me.post(&test, json!({})).await.expect(200).body;
    let told: Vec<_> = done["attempts"].as_array().unwrap().iter().collect();
    assert_eq!(told.len(), 2, "{done}");
    assert_eq!((&told[0]["outcome"], &told[0]["status"]), (&json!("error"), &json!(503)));
    assert_eq!((&told[1]["outcome"], &told[1]["answer"]), (&json!("delivered"), &json!("xxx")));
    assert_eq!(world.deliveries("").await, Vec::<Value>::new(), "a probe is no event");

    world.me.patch(&world.path, json!({"webhookUrl": null})).await.expect(200);
    world.me.post(&test, json!({})).await.refused(409, "no_webhook");
    world.me.get(test.trim_end_matches("/test")).await.refused(404, "no_webhook");
    let (_, they) = world.admin.tenant("they").await;
    they.post(&test, json!({})).await.refused(404, "not_found");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_is_shown_once_and_both_sign_for_a_day() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let world = World::new(&receiver, json!({"webhookEd25519": true})).await;
    let rotate = format!("{}/webhook/rotate-secret", world.path);
    let version = world.me.get(&world.path).await.expect(200).etag().to_owned();
    let held = || world.me.request(reqwest::Method::POST, &rotate).header("if-match", &version);
    let rotated = world.me.send(held()).await.expect(200);
    // Somebody else who has read the same does not make the first secret forgotten.
    world.me.send(held()).await.refused(412, "precondition_failed");
    let secret = text(&rotated.body["webhookSecret"]).to_owned();
    assert_ne!(secret, world.secret);
    let shown = world.me.get(&world.path).await.expect(200);
    assert!(!shown.text.contains("whsec_") && !shown.text.contains("whsk_"), "{}", shown.text);
    world.call(1);
    until("both events", async || (receiver.received().len() == 2).then_some(())).await;

    let public = text(&shown.body["webhookPublicKey"]).strip_prefix("whpk_").unwrap();
    let public = STANDARD.decode(public).unwrap();
    for event in receiver.received() {
        assert!(event.verified_by(&secret) && event.verified_by(&world.secret), "{event:?}");
        let signatures: Vec<_> = event.header("webhook-signature").split(' ').collect();
        let v1a = signatures[2].strip_prefix("v1a,").unwrap();
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &public);
        key.verify(&event.signed(), &STANDARD.decode(v1a).unwrap()).unwrap();
    }
    world.me.patch(&world.path, json!({"webhookEd25519": false})).await.expect(200);
    assert_eq!(world.me.get(&world.path).await.expect(200).body["webhookPublicKey"], Value::Null);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_events_that_are_wanted_are_sent_and_a_get_carries_them_in_its_query() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let more = json!({"webhookMethod": "GET", "webhookEvents": ["call.hangup"]});
    let world = World::new(&receiver, more).await;
    world.call(1);
    world.in_state("delivered", 1).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let query = received[0].query.as_deref().unwrap();
    assert!(query.contains("type=call.hangup") && query.contains("sipCode=200"), "{query}");
    assert!(received[0].verified_by(&world.secret), "{query}");

    for (body, fault) in [
        (json!({"webhookEvents": []}), "/webhookEvents required"),
        (json!({"webhookEvents": ["call.ringing"]}), "/webhookEvents/0 invalid_webhook_event"),
        (json!({"webhookFallbackUrl": "ftp://x"}), "/webhookFallbackUrl invalid_webhook_url"),
        (json!({"webhookPublicKey": "whpk_x"}), "/webhookPublicKey read_only"),
    ] {
        let refused = world.me.patch(&world.path, body).await.refused(422, "validation_failed");
        assert_eq!(refused.faults(), [fault]);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_an_endpoint_is_off_and_it_can_be_switched_on_again() {
    let receiver = Receiver::start(Answer::Status(410)).await;
    let world = World::new(&receiver, json!({})).await;
    let webhook = format!("{}/webhook", world.path);
    world.call(1);
    let off = until("the endpoint to be off", async || {
        let state = world.me.get(&webhook).await.expect(200).body;
        (state["enabled"] == false).then_some(state)
    })
    .await;
    assert!(text(&off["reason"]).contains("410"), "{off}");
    world.call(2);
    world.in_state("pending", 4).await;
    receiver.answer(Answer::Status(200));
    let on = world.me.post(&format!("{webhook}/enable"), json!({})).await.expect(200).body;
    assert_eq!((&on["enabled"], &on["reason"]), (&json!(true), &Value::Null));
    world.in_state("delivered", 4).await;

    let off = world.me.post(&format!("{webhook}/disable"), json!({})).await.expect(200).body;
    assert_eq!(off["enabled"], false);
    let before = receiver.received().len();
    world.call(3);
    world.in_state("pending", 2).await;
    assert_eq!(receiver.received().len(), before);
    world.me.post(&format!("{webhook}/enable"), json!({})).await.expect(200);
    world.in_state("delivered", 6).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_url_falls_back_at_once() {
    let first = Receiver::start(Answer::Status(500)).await;
    let second = Receiver::start(Answer::Status(200)).await;
    let world = World::new(&first, json!({ "webhookFallbackUrl": second.url })).await;
    world.call(1);
    let delivered = world.in_state("delivered", 2).await;
    let path = format!("/v1/webhook-deliveries/{}", text(&delivered[1]["deliveryId"]));
    let log = world.me.get(&path).await.expect(200).body["attemptLog"].clone();
    let told: Vec<_> =
        log.as_array().unwrap().iter().map(|a| (text(&a["target"]), text(&a["outcome"]))).collect();
    assert_eq!(told, [("url", "error"), ("fallback", "delivered")]);
    let ids = |receiver: &Receiver| {
        receiver.received().iter().map(|event| event.id().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), ids(&second), "the same ids");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_and_sent_again_with_their_ids() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let world = World::new(&receiver, json!({})).await;
    for index in 1..=3 {
        world.call(index);
    }
    let delivered = world.in_state("delivered", 6).await;
    let one = delivered.iter().find(|delivery| delivery["eventType"] == "call.hangup").unwrap();
    let path = format!("/v1/webhook-deliveries/{}", text(&one["deliveryId"]));
    let story = world.me.get(&path).await.expect(200).body;
    assert_eq!(story["event"]["type"], "call.hangup");
    assert_eq!(text(&story["attemptLog"][0]["outcome"]), "delivered");
    assert_eq!(world.deliveries(&format!("callId={}", text(&one["callId"]))).await.len(), 2);
    assert_eq!(world.deliveries(&format!("trunkId={}&limit=5", world.trunk)).await.len(), 5);
    let created = text(&one["createdAt"]);
    assert!(!world.deliveries(&format!("createdFrom={created}")).await.is_empty());
    assert_eq!(world.deliveries("createdBefore=2020-01-01T00:00:00Z").await.len(), 0);

    let count = |id: &str| receiver.received().iter().filter(|event| event.id() == id).count();
    let event = text(&one["eventId"]).to_owned();
    assert_eq!(world.me.post(&format!("{path}/replay"), json!({})).await.expect(200).body["replayed"], 1);
    until("it to come again", async || (count(&event) == 2).then_some(())).await;
    let replay = "/v1/webhook-deliveries:replay";
    assert_eq!(world.me.post(replay, json!({})).await.expect(200).body["replayed"], 0, "nothing is parked");
    let body = json!({"trunkId": world.trunk, "state": "delivered", "createdBefore": "2100-01-01T00:00:00Z"});
    until("all to be delivered", async || {
        (world.deliveries("state=delivered").await.len() == 6).then_some(())
    })
    .await;
    assert_eq!(world.me.post(replay, body).await.expect(200).body["replayed"], 6);
    until("all to come again", async || (receiver.received().len() == 13).then_some(())).await;

    // What belongs to others does not exist.
    let (_, they) = world.admin.tenant("they").await;
    they.get(&path).await.refused(404, "not_found");
    they.post(&format!("{path}/replay"), json!({})).await.refused(404, "not_found");
    let none = they.get("/v1/webhook-deliveries").await.expect(200).body;
    assert_eq!((&none["objects"], &none["meta"]["nextCursor"]), (&json!([]), &Value::Null));
    assert_eq!(they.post(replay, json!({"state": "delivered"})).await.expect(200).body["replayed"], 0);
    they.post(replay, json!({"trunkId": world.trunk})).await.refused(404, "not_found");
    for (query, fault) in [
        ("state=lost", "?state invalid_state"),
        ("callId=x", "?callId invalid_id"),
        ("createdFrom=yesterday", "?createdFrom invalid_time"),
        ("cursor=0", "?cursor invalid_parameter"),
        ("trunkId=a&applicationId=b", "?applicationId not_here"),
    ] {
        let refused =
            world.me.get(&format!("/v1/webhook-deliveries?{query}")).await.refused(400, "bad_query");
        assert_eq!(refused.faults(), [fault]);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_deliveries_go_on_where_they_ended_and_so_do_replays() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let world = World::new(&receiver, json!({})).await;
    for index in 1..=3 {
        world.call(index);
    }
    let all = world.in_state("delivered", 6).await;
    let ids =
        |objects: &[Value]| objects.iter().map(|one| text(&one["deliveryId"]).to_owned()).collect::<Vec<_>>();
    let (mut found, mut query) = (Vec::new(), "limit=2".to_owned());
    let pages = loop {
        let page = world.me.get(&format!("/v1/webhook-deliveries?{query}")).await.expect(200).body;
        found.extend(ids(page["objects"].as_array().unwrap()));
        // What comes in meanwhile moves nothing.
        world.call(10 + found.len() as u8);
        let Some(cursor) = page["meta"]["nextCursor"].as_str() else { break found.len() / 2 };
        query = format!("limit=2&cursor={cursor}");
    };
    assert_eq!((pages, &found), (3, &ids(&all)));
    world.in_state("delivered", 12).await;

    // Every delivery is sent once more, although each matches again as soon as it is delivered.
    let replay = "/v1/webhook-deliveries:replay";
    let again = world.me.post(replay, json!({"state": "delivered"})).await.expect(200).body;
    assert_eq!((&again["replayed"], &again["more"]), (&json!(12), &json!(false)));
    let last = ids(&world.in_state("delivered", 12).await)[0].clone();
    assert_eq!(text(&again["lastDeliveryId"]), last);
    let more = json!({"state": "delivered", "afterDeliveryId": last});
    let more = world.me.post(replay, more).await.expect(200).body;
    assert_eq!((&more["replayed"], text(&more["lastDeliveryId"])), (&json!(0), last.as_str()));
    let behind = json!({"state": "delivered", "afterDeliveryId": found[2]});
    assert_eq!(world.me.post(replay, behind).await.expect(200).body["replayed"], 8);
    for (body, fault) in [
        (json!({"state": "pending"}), "/state invalid_state"),
        (json!({"afterDeliveryId": "x"}), "/afterDeliveryId invalid_id"),
        (json!({"trunkId": "a", "applicationId": "b"}), "/applicationId not_here"),
    ] {
        assert_eq!(world.me.post(replay, body).await.refused(422, "validation_failed").faults(), [fault]);
    }
    // A trunk is no application, whoever asks; one that is gone might have been either.
    let as_application = format!("/v1/webhook-deliveries?applicationId={}", world.trunk);
    world.admin.get(&as_application).await.refused(404, "not_found");
    world.admin.get("/v1/webhook-deliveries?applicationId=gone").await.expect(200);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_under_one_account_is_never_sent_to_the_next() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let world = World::new(&receiver, json!({})).await;
    world.call(1);
    let delivered = world.in_state("delivered", 2).await;
    let (other, they) = world.admin.tenant("they").await;
    world.admin.patch(&world.path, json!({"accountId": other})).await.expect(200);
    let path = format!("/v1/webhook-deliveries/{}", text(&delivered[0]["deliveryId"]));
    world.me.get(&path).await.expect(200);
    world.me.post(&format!("{path}/replay"), json!({})).await.refused(409, "no_webhook");
    they.post(&format!("{path}/replay"), json!({})).await.refused(404, "not_found");
    let replay = "/v1/webhook-deliveries:replay";
    for caller in [&world.me, &they] {
        let replayed = caller.post(replay, json!({"state": "delivered"})).await.expect(200).body;
        assert_eq!(replayed["replayed"], 0);
    }
    assert_eq!(receiver.received().len(), 2);
    world.admin.post(&format!("{path}/replay"), json!({})).await.expect(200);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_waits_for_news_so_many_times_at_once() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let world = World::new(&receiver, json!({})).await;
    let wait = |caller: &Caller| {
        let caller = caller.clone();
        tokio::spawn(async move { caller.get("/v1/events?waitSeconds=25").await.status })
    };
    // One more than may: whichever comes last is told at once.
    let mut waits: Vec<_> = (0..17).map(|_| wait(&world.me)).collect();
    until("a refusal", async || waits.iter().any(tokio::task::JoinHandle::is_finished).then_some(())).await;
    let (refused, waiting): (Vec<_>, Vec<_>) = waits.drain(..).partition(|wait| wait.is_finished());
    assert_eq!((refused.len(), refused.into_iter().next().unwrap().await.unwrap()), (1, 503));
    world.me.get("/v1/events").await.expect(200);
    let other = wait(&world.admin);
    world.call(1);
    for wait in waiting.into_iter().chain([other]) {
        assert_eq!(wait.await.unwrap(), 200);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_can_be_fetched_in_order_and_waited_for() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let world = World::new(&receiver, json!({})).await;
    let waiting = {
        let me = world.me.clone();
        tokio::spawn(async move { me.get("/v1/events?waitSeconds=25").await.expect(200).body })
    };
    world.call(1);
    let first = waiting.await.unwrap();
    assert!(!first["objects"].as_array().unwrap().is_empty(), "it waited for the first: {first}");
    world.call(2);
    let all = until("four events", async || {
        let found = world.me.get("/v1/events?after=0").await.expect(200).body;
        (found["objects"].as_array().unwrap().len() == 4).then_some(found)
    })
    .await;
    let events = all["objects"].as_array().unwrap();
    let sequences: Vec<_> = events.iter().map(|event| event["sequence"].as_i64().unwrap()).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b));
    assert_eq!(all["nextAfter"].as_i64(), sequences.last().copied());
    let rest = world.me.get(&format!("/v1/events?after={}&limit=2", sequences[0])).await.expect(200).body;
    assert_eq!(rest["objects"].as_array().unwrap()[..], events[1..3]);
    until("all to be sent", async || (receiver.received().len() == 4).then_some(())).await;
    let mut sent: Vec<_> = receiver.received().iter().map(|event| event.id().to_owned()).collect();
    let mut fetched: Vec<_> = events.iter().map(|event| text(&event["eventId"]).to_owned()).collect();
    sent.sort();
    fetched.sort();
    assert_eq!(sent, fetched, "the same ids");

    let (_, they) = world.admin.tenant("they").await;
    assert_eq!(they.get("/v1/events").await.expect(200).body["objects"], json!([]));
    world.me.get("/v1/events?limit=1001").await.refused(400, "bad_query");
    world.stop().await;
}
