//! Rate plans over HTTP: made, filled from CSV, chosen, and what calls cost by them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Caller, admin_token, daemon, text};
use crate::daemon::start;
use crate::ring::{module, push_whole_call_of};
use crate::support::{Site, until};

const FILE: &str = "prefix,pricePerMinute,connectionFee,firstIncrement,nextIncrement,minimumCharge\n\
    ,0.6,0.05,30,6,0\n+1,0.01,,,,\n44,0.0125,0,6,6,0.02\n";

async fn import(caller: &Caller, plan: &str, csv: &str) -> Answer {
    let request = caller.request(reqwest::Method::POST, &format!("{plan}/rates:import"));
    caller.send(request.header("content-type", "text/csv").body(csv.to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_made_filled_and_chosen_by_administrators() {
    let (_site, daemon, admin) = daemon().await;
    let (account, me) = admin.tenant("mine").await;
    let refused = admin.post("/v1/rate-plans", json!({"name": "x", "rates": []})).await;
    assert_eq!(
        refused.refused(422, "validation_failed").faults(),
        ["/currency required", "/rates unknown_field"]
    );
    let (plan, made) = admin.make("/v1/rate-plans", json!({"name": "Retail", "currency": "EUR"})).await;
    let id = text(&made.body["ratePlanId"]).to_owned();
    let changed = admin.patch(&plan, json!({"currency": "eur"})).await.refused(422, "validation_failed");
    assert_eq!(changed.faults(), ["/currency invalid_currency"]);
    let before = admin.get(&plan).await.expect(200).etag().to_owned();

    let bad =
        import(&admin, &plan, "prefix,pricePerMinute\n1,x\n1,1\n").await.refused(422, "validation_failed");
    assert_eq!(bad.faults(), ["/2/pricePerMinute invalid_amount", "/3/prefix duplicate"]);
    assert_eq!(admin.get(&format!("{plan}/rates")).await.expect(200).body["meta"]["total"], 0, "all or none");
    let done = import(&admin, &plan, FILE).await.expect(200);
    assert_eq!(done.body["rates"], 3);
    assert_ne!(admin.get(&plan).await.etag(), before);
    let rates = admin.get(&format!("{plan}/rates?limit=1&offset=2")).await.expect(200).body;
    let wanted = json!({"prefix": "44", "pricePerMinute": "0.0125", "connectionFee": "0", "firstIncrement": 6, "nextIncrement": 6, "minimumCharge": "0.02"});
    assert_eq!((&rates["objects"][0], &rates["meta"]["total"]), (&wanted, &json!(3)));
    let request = admin.request(reqwest::Method::GET, &format!("{plan}/rates")).header("accept", "text/csv");
    let file = admin.send(request).await.expect(200).text;
    assert_eq!(
        file,
        "prefix,pricePerMinute,connectionFee,firstIncrement,nextIncrement,minimumCharge\n,0.6,0.05,30,6,0\n1,0.01,0,1,1,0\n44,0.0125,0,6,6,0.02\n"
    );
    import(&admin, &plan, &file).await.expect(200);
    admin.post(&format!("{plan}/rates:import"), json!({})).await.refused(415, "unsupported_media_type");
    import(&admin, "/v1/rate-plans/none", FILE).await.refused(404, "not_found");

    let trunk = text(&me.make("/v1/trunks", json!({})).await.1.body["trunkId"]).to_owned();
    let choice = format!("/v1/trunks/{trunk}/rate-plan");
    assert_eq!(admin.get(&choice).await.expect(200).body["ratePlanId"], Value::Null);
    let unknown = admin.patch(&choice, json!({"ratePlanId": "none"})).await.refused(422, "validation_failed");
    assert_eq!(unknown.faults(), ["/ratePlanId unknown_rate_plan"]);
    admin.patch(&choice, json!({})).await.refused(422, "validation_failed");
    admin.patch(&choice, json!({"ratePlanId": id})).await.expect(200);
    assert_eq!(admin.get(&choice).await.expect(200).body["ratePlanId"], id.as_str());
    admin.get(&format!("/v1/voice-applications/{trunk}/rate-plan")).await.refused(404, "not_found");
    admin.patch("/v1/accounts/none/rate-plan", json!({"ratePlanId": id})).await.refused(404, "not_found");

    // Nobody else sees or sets a price.
    for path in [
        "/v1/rate-plans",
        &plan,
        &format!("{plan}/rates"),
        &choice,
        &format!("/v1/accounts/{account}/rate-plan"),
    ] {
        me.get(path).await.refused(403, "forbidden");
    }
    me.patch(&choice, json!({"ratePlanId": null})).await.refused(403, "forbidden");
    import(&me, &plan, FILE).await.refused(403, "forbidden");

    admin.delete(&plan).await.refused(409, "rate_plan_in_use");
    admin.patch(&choice, json!({"ratePlanId": null})).await.expect(200);
    admin.delete(&plan).await.expect(200);
    admin.get(&plan).await.refused(404, "not_found");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_says_what_it_cost_wherever_it_is_told_of() {
    let site = Site::new();
    let daemon = start(&site).await;
    let admin = Caller::new(&daemon, &admin_token(&site));
    let (account, me) = admin.tenant("mine").await;
    let trunk = text(&me.make("/v1/trunks", json!({})).await.1.body["trunkId"]).to_owned();
    let (plan, made) = admin.make("/v1/rate-plans", json!({"currency": "EUR"})).await;
    import(&admin, &plan, FILE).await.expect(200);
    let choice = format!("/v1/accounts/{account}/rate-plan");
    admin.patch(&choice, json!({"ratePlanId": made.body["ratePlanId"]})).await.expect(200);

    let module = module(&site.shm(), 64);
    for number in 1..=3 {
        push_whole_call_of(&module, Uuid::from_u128(number), &trunk, &account, 1_000);
    }
    let calls = until("three calls that have ended", async || {
        let calls = me.get("/v1/calls?status=NORMAL_CLEARING").await.expect(200).body;
        (calls["meta"]["total"] == 3).then_some(calls)
    })
    .await;
    // What is called is no number: the empty prefix. Five seconds and a bit are thirty, at 0.6 a minute, and the fee.
    for call in calls["objects"].as_array().unwrap() {
        assert_eq!((&call["cost"], &call["currency"]), (&json!("0.35"), &json!("EUR")), "{call}");
        assert_eq!(call["billableSeconds"], 30);
    }
    let sums = me.get("/v1/calls/summary").await.expect(200).body;
    assert_eq!(sums["costs"], json!([{"currency": "EUR", "cost": "1.05"}]), "{sums}");
    assert_eq!(sums["billableSeconds"], 90);
    let events = rusqlite::Connection::open(site.database()).unwrap();
    let body: String = events
        .query_row("SELECT body FROM events WHERE type = 'call.hangup' LIMIT 1", [], |row| row.get(0))
        .unwrap();
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&event["data"]["cost"], &event["data"]["currency"]), (&json!("0.35"), &json!("EUR")));
    assert_eq!(event["data"]["billableSeconds"], 30);
    daemon.stop().await.unwrap();
}
