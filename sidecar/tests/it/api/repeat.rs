//! Requests that are sent twice under one key.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Caller, daemon, text, with_json};

async fn keyed(caller: &Caller, method: Method, path: &str, key: &str, body: Option<Value>) -> Answer {
    let request = caller.request(method, path).header("idempotency-key", key);
    let request = match body {
        Some(body) => with_json(request, &body),
        None => request,
    };
    caller.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_done_once_and_answered_alike() {
    let (site, daemon, admin) = daemon().await;
    let body = json!({"name": "once", "webhookUrl": "https://hooks.example.com/", "credentials": [{"username": "u"}]});
    let first = keyed(&admin, Method::POST, "/v1/trunks", "k-1", Some(body.clone())).await.expect(201);
    let again = keyed(&admin, Method::POST, "/v1/trunks", "k-1", Some(body.clone())).await.expect(201);
    assert_eq!((&again.body, again.etag()), (&first.body, first.etag()));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(admin.get("/v1/trunks").await.body["meta"]["total"], 1);

    for (method, path, other) in [
        (Method::POST, "/v1/trunks", json!({"name": "another"})),
        (Method::POST, "/v1/trunks?wait=applied", body.clone()),
        (Method::POST, "/v1/trunks:batch", json!([{}])),
        (Method::PATCH, first.header("location"), json!({})),
    ] {
        keyed(&admin, method, path, "k-1", Some(other)).await.refused(422, "key_reused");
    }
    keyed(&admin, Method::DELETE, first.header("location"), "k-1", None).await.refused(422, "key_reused");

    // Nobody else's key is touched by it, and a refused request leaves its key free.
    let other =
        admin.with_token(text(&admin.post("/v1/tokens", json!({"scope": "admin"})).await.body["token"]));
    keyed(&other, Method::POST, "/v1/trunks", "k-1", Some(body)).await.expect(201);
    keyed(&admin, Method::POST, "/v1/trunks", "k-2", Some(json!({"name": 7})))
        .await
        .refused(422, "validation_failed");
    keyed(&admin, Method::POST, "/v1/trunks", "k-2", Some(json!({"name": "7"}))).await.expect(201);
    assert_eq!(admin.get("/v1/trunks").await.body["meta"]["total"], 3);

    let path = first.header("location");
    let gone = keyed(&admin, Method::DELETE, path, "k-3", None).await.expect(200);
    let again = keyed(&admin, Method::DELETE, path, "k-3", None).await.expect(200);
    assert_eq!(gone.body, again.body);
    daemon.stop().await.unwrap();

    // The secrets that the kept answer holds are not to be had from the database.
    let (secret, password) =
        (text(&first.body["webhookSecret"]), text(&first.body["credentials"][0]["password"]));
    let database = rusqlite::Connection::open(site.database()).unwrap();
    let kept: Vec<String> = {
        let mut select = database.prepare("SELECT answer FROM kept_answers").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert!(kept.len() >= 4, "{}", kept.len());
    for answer in kept {
        assert!(
            !answer.contains(secret) && !answer.contains(password) && !answer.contains("once"),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_under_one_key_make_one_thing() {
    let (_site, daemon, admin) = daemon().await;
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let admin = admin.clone();
            tokio::spawn(async move {
                keyed(&admin, Method::POST, "/v1/accounts", "same", Some(json!({"name": "one"})))
                    .await
                    .expect(201)
                    .body
            })
        })
        .collect();
    let mut answers = Vec::new();
    for asked in asked {
        answers.push(asked.await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(admin.get("/v1/accounts").await.body["meta"]["total"], 1);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_write_takes_no_key_and_promises_none() {
    let (_site, daemon, admin) = daemon().await;
    let (path, _) = admin.make("/v1/trunks", json!({"webhookUrl": "https://192.0.2.1/"})).await;
    let document = admin.get("/openapi.json").await.expect(200).body;
    let promises = |path: &str, name: &str| {
        let parameters = document["paths"][path]["post"]["parameters"].as_array().unwrap().iter();
        parameters.clone().any(|parameter| parameter["name"] == name)
    };
    let no_writes = [
        ("/v1/explain", "/v1/explain".to_owned()),
        ("/v1/reload", "/v1/reload".to_owned()),
        ("/v1/trunks/{trunkId}/webhook/test", format!("{path}/webhook/test")),
        ("/v1/trunks/{trunkId}/webhook/enable", format!("{path}/webhook/enable")),
        ("/v1/trunks/{trunkId}/webhook/disable", format!("{path}/webhook/disable")),
        ("/v1/webhook-deliveries/{deliveryId}/replay", "/v1/webhook-deliveries/1/replay".to_owned()),
        ("/v1/webhook-deliveries:replay", "/v1/webhook-deliveries:replay".to_owned()),
    ];
    for (described, asked) in &no_writes {
        let refused = keyed(&admin, Method::POST, asked, "k", Some(json!({}))).await;
        assert_eq!(refused.refused(400, "bad_request").faults(), ["idempotency-key not_here"], "{asked}");
        let held = with_json(admin.request(Method::POST, asked).header("if-match", "\"1\""), &json!({}));
        assert_eq!(admin.send(held).await.refused(400, "bad_request").faults(), ["if-match not_here"]);
        for name in ["Idempotency-Key", "wait"] {
            assert!(!promises(described, name), "{described} promises {name}");
        }
    }
    assert!(promises("/v1/trunks/{trunkId}/webhook/rotate-secret", "Idempotency-Key"));
    daemon.stop().await.unwrap();
}
