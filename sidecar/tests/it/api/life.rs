//! Each resource from its making to its end.

use serde_json::{Value, json};

use super::{daemon, text};
use crate::daemon::ready;

/// What is the same before and after a change, apart from when and at which revision.
fn without_times(body: &Value) -> Value {
    let mut body = body.clone();
    for key in ["createdAt", "updatedAt", "configRevision", "applied"] {
        body.as_object_mut().unwrap().remove(key);
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account() {
    let (_site, daemon, admin) = daemon().await;
    let (path, made) = admin.make("/v1/accounts", json!({"name": "Acme", "cpsLimit": 2.5})).await;
    assert_eq!(path, format!("/v1/accounts/{}", text(&made.body["accountId"])));
    assert!(made.body["configRevision"].as_i64().unwrap() > 1);
    let read = admin.get(&path).await.expect(200);
    assert_eq!(without_times(&read.body), without_times(&made.body));
    assert_eq!(read.etag(), made.etag());
    assert_eq!((&read.body["enabled"], &read.body["cpsLimit"]), (&json!(true), &json!(2.5)));
    assert_eq!((&read.body["concurrentCallsLimit"], &read.body["managedBy"]), (&Value::Null, &json!("api")));

    let change = json!({"enabled": false, "cpsLimit": null, "concurrentCallsLimit": 7});
    let changed = admin.patch(&format!("{path}?wait=applied"), change).await.expect(200);
    assert_eq!((&changed.body["enabled"], &changed.body["cpsLimit"]), (&json!(false), &Value::Null));
    assert_eq!((&changed.body["applied"], &changed.body["name"]), (&json!(true), &json!("Acme")));
    assert!(ready(&daemon).await["publishedRevision"].as_i64() >= changed.body["configRevision"].as_i64());

    // What is already so is no change: same version, no revision.
    let same = admin.patch(&path, json!({"enabled": false})).await.expect(200);
    assert_eq!(
        (same.etag(), &same.body["configRevision"]),
        (changed.etag(), &changed.body["configRevision"])
    );

    let (trunk, _) = admin.make("/v1/trunks", json!({"accountId": made.body["accountId"]})).await;
    admin.delete(&path).await.refused(409, "account_in_use");
    admin.delete(&trunk).await.expect(200);
    let gone = admin.delete(&path).await.expect(200);
    assert!(gone.body["configRevision"].as_i64() > changed.body["configRevision"].as_i64());
    admin.get(&path).await.refused(404, "not_found");
    admin.delete(&path).await.refused(404, "not_found");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_with_its_parts() {
    let (_site, daemon, admin) = daemon().await;
    let account = admin.account("Acme").await;
    let (path, made) = admin.make("/v1/trunks", json!({"accountId": account, "name": "Main line"})).await;
    let id = text(&made.body["trunkId"]);
    assert_eq!(text(&made.body["trunkDomain"]), format!("{id}.sip.example.net"));
    for (field, value) in [
        ("accountId", json!(account)),
        ("enabled", json!(true)),
        ("authMode", json!("any")),
        ("concurrentCallsLimit", json!(10)),
        ("cpsLimit", json!(2.0)),
        ("cpsBurst", Value::Null),
        ("allowedRegions", Value::Null),
        ("transport", json!("udp")),
        ("secure", json!(false)),
        ("failoverCodes", Value::Null),
        ("webhookUrl", Value::Null),
        ("managedBy", json!("api")),
    ] {
        assert_eq!(made.body[field], value, "{field}");
    }

    let change = json!({
        "authMode": "all", "cpsLimit": 0, "cpsBurst": 4, "concurrentCallsLimit": 0, "allowedRegions": ["US", "DE"],
        "transport": "tls", "secure": true, "failoverCodes": [503, 408], "description": "two",
    });
    let changed = admin.patch(&path, change.clone()).await.expect(200);
    for (field, value) in change.as_object().unwrap() {
        assert_eq!(
            changed.body[field].as_f64().map(Value::from).unwrap_or(changed.body[field].clone()),
            value.as_f64().map(Value::from).unwrap_or(value.clone()),
            "{field}"
        );
    }
    let defaults = json!({"cpsLimit": null, "cpsBurst": null, "concurrentCallsLimit": null, "allowedRegions": null,
        "failoverCodes": null});
    let back = admin.patch(&path, defaults).await.expect(200);
    assert_eq!((&back.body["cpsLimit"], &back.body["concurrentCallsLimit"]), (&json!(2.0), &json!(10)));
    assert_eq!((&back.body["allowedRegions"], &back.body["failoverCodes"]), (&Value::Null, &Value::Null));

    for (below, body, key) in [
        ("ip-acls", json!({"ipAddress": "192.0.2.7"}), "ipAddress"),
        ("credentials", json!({"username": "desk_01", "password": "correct horse battery"}), "username"),
        ("origination-uris", json!({"uri": "sip:192.0.2.10:5060", "priority": 5, "weight": 20}), "uri"),
    ] {
        let list = format!("{path}/{below}");
        let (part, made) = admin.make(&list, body.clone()).await;
        assert!(!made.text.contains("correct horse"), "{}", made.text);
        let read = admin.get(&part).await.expect(200);
        assert_eq!(without_times(&read.body), without_times(&made.body));
        admin.post(&list, body).await.refused(409, "duplicate");
        let changed = admin.patch(&part, json!({"enabled": false, "description": "off"})).await.expect(200);
        assert_eq!((&changed.body["enabled"], &changed.body["description"]), (&json!(false), &json!("off")));
        assert_eq!(changed.body[key], made.body[key]);
        assert_ne!(changed.etag(), made.etag());
        let listed = admin.get(&list).await.expect(200);
        assert_eq!(listed.body["meta"], json!({"limit": 20, "offset": 0, "total": 1}));
        assert_eq!(listed.body["objects"][0], admin.get(&part).await.body);
        admin.delete(&part).await.expect(200);
        admin.get(&part).await.refused(404, "not_found");
        assert_eq!(admin.get(&list).await.body["meta"]["total"], 0);
    }
    // Its own version moves with its own fields only.
    assert_eq!(admin.get(&path).await.etag(), back.etag());
    admin.delete(&format!("{path}?wait=applied")).await.expect(200);
    admin.get(&path).await.refused(404, "not_found");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_are_made_are_shown_once() {
    let (site, daemon, admin) = daemon().await;
    let body = json!({
        "webhookUrl": "https://hooks.example.com/a",
        "credentials": [{"username": "given", "password": "correct horse battery"}, {"username": "made"}],
        "ipAcls": [{"ipAddress": "192.0.2.0/24"}], "originationUris": [{"uri": "sip:192.0.2.10"}],
    });
    let (path, made) = admin.make("/v1/trunks", body).await;
    let secret = text(&made.body["webhookSecret"]).to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let users = made.body["credentials"].as_array().unwrap();
    assert_eq!((users.len(), text(&users[0]["username"])), (1, "made"));
    let password = text(&users[0]["password"]).to_owned();
    // More than 5.8 bits a character: there are more than 56 of them.
    assert!(password.len() * 58 / 10 >= 128, "{password}");

    let another = admin.post(&format!("{path}/credentials"), json!({"username": "third"})).await.expect(201);
    let third = text(&another.body["password"]).to_owned();
    let moved = json!({"webhookUrl": "https://hooks.example.com/b", "webhookMethod": "GET"});
    let moved = admin.patch(&path, moved).await.expect(200);
    assert!(moved.body.get("webhookSecret").is_none(), "the key stays with the trunk: {}", moved.text);
    assert_eq!(text(&moved.body["webhookMethod"]), "GET");

    let seen = [
        admin.get(&path).await.text,
        admin.get("/v1/trunks").await.text,
        admin.get(&format!("{path}/credentials")).await.text,
        admin.get("/v1/status").await.text,
    ];
    for shown in &seen {
        for secret in [&secret, &password, &third] {
            assert!(!shown.contains(secret.as_str()), "{shown}");
        }
    }
    daemon.stop().await.unwrap();

    // What is kept of a password is its hashes.
    let bytes = std::fs::read(site.database()).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("desk") || holds("third"), "the users are there");
    for secret in [password.as_str(), &third, "correct horse battery", &super::admin_token(&site)] {
        assert!(!holds(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_their_size_and_their_filter() {
    let (_site, daemon, admin) = daemon().await;
    let account = admin.account("Acme").await;
    for index in 0..5 {
        let owner = if index < 2 { json!(account) } else { Value::Null };
        admin.make("/v1/trunks", json!({"name": format!("t{index}"), "accountId": owner})).await;
    }
    admin.make("/v1/voice-applications", json!({"applicationName": "app"})).await;
    let names = async |query: &str| {
        let page = admin.get(&format!("/v1/trunks{query}")).await.expect(200);
        let objects = page.body["objects"].as_array().unwrap().clone();
        let names: Vec<_> = objects.iter().map(|trunk| text(&trunk["name"]).to_owned()).collect();
        (page.body["meta"]["total"].as_u64().unwrap(), names)
    };
    assert_eq!(names("").await.0, 5);
    let (total, first) = names("?limit=2").await;
    let (_, second) = names("?limit=2&offset=2").await;
    let (_, last) = names("?limit=2&offset=4").await;
    let mut all = [first, second, last].concat();
    all.sort();
    assert_eq!((total, all), (5, ["t0", "t1", "t2", "t3", "t4"].map(str::to_owned).to_vec()));
    assert_eq!(names("?offset=5").await, (5, vec![]));
    assert_eq!(names(&format!("?accountId={account}")).await.0, 2);
    assert_eq!(admin.get("/v1/voice-applications").await.body["meta"]["total"], 1);

    for (query, faults) in [
        ("?limit=0", vec!["?limit out_of_range"]),
        ("?limit=101&offset=-1", vec!["?limit out_of_range", "?offset out_of_range"]),
        ("?limit=1&limit=2&page=3", vec!["?limit duplicate", "?page unknown_field"]),
        ("?offset=%zz", vec!["?offset bad_encoding"]),
        ("?accountId=A'", vec!["?accountId invalid_label"]),
    ] {
        let refused = admin.get(&format!("/v1/trunks{query}")).await.refused(400, "bad_query");
        assert_eq!(refused.faults(), faults, "{query}");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_makes_all_or_none() {
    let (_site, daemon, admin) = daemon().await;
    let account = admin.account("Acme").await;
    let trunks: Vec<_> = (0..300)
        .map(|index| json!({"name": format!("t{index}"), "accountId": account, "credentials": [{"username": "u"}]}))
        .collect();
    let made = admin.post("/v1/trunks:batch?wait=applied", json!(trunks)).await.expect(201);
    assert_eq!(made.body["applied"], true);
    let objects = made.body["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 300);
    assert!(text(&objects[299]["credentials"][0]["password"]).len() >= 22);
    let last = admin.get(&format!("/v1/trunks/{}", text(&objects[299]["trunkId"]))).await.expect(200);
    assert_eq!(last.body["name"], "t299");

    let lines = "{\"name\": \"one\"}\n\n{\"name\": \"two\"}\r\n";
    let request = admin.request(reqwest::Method::POST, "/v1/trunks:batch");
    let request = request.header("content-type", "application/x-ndjson").body(lines);
    assert_eq!(admin.send(request).await.expect(201).body["objects"].as_array().unwrap().len(), 2);

    let bad = json!([{"name": "a"}, {"name": 7}, {"accountId": "nobody", "x": 1}, 3]);
    let refused = admin.post("/v1/trunks:batch", bad).await.refused(422, "validation_failed");
    assert_eq!(refused.faults(), ["/1/name wrong_type", "/2/x unknown_field", "/3 wrong_type"]);
    let unknown = json!([{"name": "a"}, {"accountId": "nobody"}]);
    let refused = admin.post("/v1/trunks:batch", unknown).await.refused(422, "validation_failed");
    assert_eq!(refused.faults(), ["/1/accountId unknown_account"]);
    for body in [json!([]), json!({}), json!(null)] {
        admin.post("/v1/trunks:batch", body).await.refused(422, "validation_failed");
    }
    let request = admin.request(reqwest::Method::POST, "/v1/trunks:batch");
    let request = request.header("content-type", "application/x-ndjson").body("{}\n{\n{\"a\":1}");
    assert_eq!(admin.send(request).await.refused(400, "malformed_body").faults(), ["/1 malformed_json"]);
    assert_eq!(admin.get("/v1/trunks").await.body["meta"]["total"], 302);
    daemon.stop().await.unwrap();
}
