//! What is live, with the module's own code as Kamailio: counts, rates, refusals, gateways, and the deletion of what is busy.

use serde_json::{Value, json};
use trunk_admission::{Now, Outcome, Reason};

use super::{Caller, admin_token, text};
use crate::daemon::start;
use crate::ring::{admit_at, module, push_judged};
use crate::support::{Site, call_id, until};

/// The reasons of the refusals that are shown, once there are so many.
async fn refusals(caller: &Caller, path: &str, count: usize) -> (Value, Vec<String>) {
    until("the refusals", async || {
        let body = caller.get(path).await.expect(200).body;
        let shown = body["lastRefusals"].as_array().unwrap();
        let reasons: Vec<_> = shown.iter().map(|call| text(&call["reason"]).to_owned()).collect();
        (reasons.len() == count).then_some((body, reasons))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_refusals_are_shown_to_those_whose_they_are() {
    let site = Site::new();
    let daemon = start(&site).await;
    let admin = Caller::new(&daemon, &admin_token(&site));
    let (_, me) = admin.tenant("mine").await;
    let (_, they) = admin.tenant("theirs").await;
    let body = json!({"ipAcls": [{"ipAddress": "127.0.0.1"}], "originationUris": [{"uri": "sip:192.0.2.9"}],
        "cpsLimit": 5, "concurrentCallsLimit": 3});
    let (path, made) = me.make("/v1/trunks?wait=applied", body).await;
    let (id, domain) = (text(&made.body["trunkId"]).to_owned(), text(&made.body["trunkDomain"]).to_owned());
    let live = format!("{path}/live");
    let before = me.get(&live).await.expect(200).body;
    assert_eq!((&before["attached"], &before["concurrentCalls"]), (&json!(false), &json!(0)));
    let gateways = format!("{path}/origination-uris");
    assert_eq!(text(&me.get(&gateways).await.body["objects"][0]["health"]), "unknown");

    let mut module = module(&site.shm(), 16);
    let admission = admit_at(&mut module, &domain, "one");
    let shown = me.get(&gateways).await.expect(200).body["objects"][0].clone();
    assert_eq!(text(&shown["health"]), "up");
    let gateway = format!("{gateways}/{}", text(&shown["originationUriId"]));
    let up = me.get(&gateway).await.etag().to_owned();
    let call = module.call(admission.slot).unwrap();
    let identity = module.identity_of(call.trunk_live).unwrap();
    let target = module.route(&identity, admission.slot).unwrap();
    for _ in 0..3 {
        module.gateway_result(target.live, Outcome::Bad, Now::read());
    }
    let down = me.get(&gateway).await.expect(200);
    assert_eq!(text(&down.body["health"]), "down");
    assert_ne!(down.etag(), up, "what is read has changed");
    let request = me.request(reqwest::Method::PATCH, &gateway).header("if-match", &up);
    me.send(super::with_json(request, &json!({"weight": 3}))).await.expect(200);

    let now_ms = Now::read().wall_ms;
    push_judged(&module, call_id(1), &id, "", None, now_ms);
    push_judged(&module, call_id(2), &id, "", Some(Reason::CpsExceeded), now_ms + 1);
    push_judged(&module, call_id(3), &id, "", Some(Reason::ConcurrencyExceeded), now_ms + 2);
    let (body, reasons) = refusals(&me, &live, 2).await;
    assert_eq!(reasons, ["concurrency_exceeded", "cps_exceeded"]);
    for (field, value) in [
        ("attached", json!(true)),
        ("concurrentCalls", json!(1)),
        ("concurrentCallsLimit", json!(3)),
        ("cpsLimit", json!(5.0)),
        ("attemptsPerSecond", json!(0.3)),
        ("callsPerSecond", json!(0.1)),
        ("admittedTotal", json!(1)),
    ] {
        assert_eq!(body[field], value, "{field}: {body}");
    }
    let refusal = &body["lastRefusals"][0];
    for (field, value) in [
        ("callId", json!(call_id(3).to_string())),
        ("trunkId", json!(id)),
        ("limit", json!(2)),
        ("count", json!(2)),
        ("sourceIp", json!("192.0.2.7")),
        ("from", json!("+15550100001")),
        ("sipCallId", json!("abc@host")),
    ] {
        assert_eq!(refusal[field], value, "{field}: {refusal}");
    }

    assert_eq!(admin.get("/v1/live").await.expect(200).body["lastRefusals"].as_array().unwrap().len(), 2);
    assert_eq!(me.get("/v1/live").await.expect(200).body["concurrentCalls"], 1);
    let others = they.get("/v1/live").await.expect(200).body;
    assert_eq!((&others["concurrentCalls"], &others["lastRefusals"]), (&json!(0), &json!([])));

    // A deletion ends no call by itself, and without Kamailio's socket nobody can.
    me.delete(&path).await.refused(409, "calls_up");
    me.delete(&format!("{path}?force=true")).await.refused(409, "calls_cannot_end");
    assert!(module.end(admission.slot, |_| ()));
    me.delete(&path).await.expect(200);
    daemon.stop().await.unwrap();
}
