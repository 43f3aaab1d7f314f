//! Versions: nobody overwrites what he has not seen.

use reqwest::Method;
use serde_json::json;

use super::{Answer, Caller, daemon, with_json};

async fn with(admin: &Caller, method: Method, path: &str, header: (&str, &str)) -> Answer {
    let request = admin.request(method.clone(), path).header(header.0, header.1);
    let request =
        if method == Method::PATCH { with_json(request, &json!({"description": "x"})) } else { request };
    admin.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_refused_if_the_object_moved_on() {
    let (_site, daemon, admin) = daemon().await;
    let (trunk, _) = admin.make("/v1/trunks", json!({})).await;
    let (app, _) = admin.make("/v1/voice-applications", json!({})).await;
    let (account, _) = admin.make("/v1/accounts", json!({})).await;
    let (token, _) = admin.make("/v1/tokens", json!({"scope": "admin"})).await;
    let (user, _) = admin.make(&format!("{trunk}/credentials"), json!({"username": "u"})).await;
    let (acl, _) = admin.make(&format!("{trunk}/ip-acls"), json!({"ipAddress": "192.0.2.1"})).await;
    let (gateway, _) =
        admin.make(&format!("{trunk}/origination-uris"), json!({"uri": "sip:192.0.2.9"})).await;
    for (path, change) in [
        (&user, json!({"password": "correct horse battery"})),
        (&acl, json!({"description": "a"})),
        (&gateway, json!({"weight": 7})),
        (&app, json!({"applicationName": "a"})),
        (&account, json!({"name": "a"})),
        (&token, json!({"description": "a"})),
        (&trunk, json!({"name": "a"})),
    ] {
        let seen = admin.get(path).await.expect(200).etag().to_owned();
        assert!(!seen.is_empty(), "{path}");
        with(&admin, Method::GET, path, ("if-none-match", &seen)).await.expect(304);
        admin.patch(path, change).await.expect(200);
        with(&admin, Method::GET, path, ("if-none-match", &seen)).await.expect(200);
        with(&admin, Method::PATCH, path, ("if-match", &seen)).await.refused(412, "precondition_failed");
        with(&admin, Method::DELETE, path, ("if-match", &seen)).await.refused(412, "precondition_failed");
        let now = admin.get(path).await.expect(200).etag().to_owned();
        assert_ne!(now, seen, "{path}");
        with(&admin, Method::DELETE, path, ("if-match", &now)).await.expect(200);
        with(&admin, Method::DELETE, path, ("if-match", &now)).await.refused(404, "not_found");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_who_saw_the_same_one_wins() {
    let (_site, daemon, admin) = daemon().await;
    let (path, made) = admin.make("/v1/trunks", json!({"concurrentCallsLimit": 0})).await;
    let tag = made.etag().to_owned();
    let writers = (0..20).map(|index| {
        let (admin, path, tag) = (admin.clone(), path.clone(), tag.clone());
        tokio::spawn(async move {
            let body = json!({"concurrentCallsLimit": index + 1});
            let request = admin.request(Method::PATCH, &path).header("if-match", tag);
            admin.send(with_json(request, &body)).await.status
        })
    });
    let mut statuses = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        statuses.push(writer.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[412; 19][..]));
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_version_takes_no_condition() {
    let (_site, daemon, admin) = daemon().await;
    let account = admin.account("acme").await;
    let path = format!("/v1/accounts/{account}/rate-plan");
    let request = admin.request(Method::PATCH, &path).header("if-match", "\"1\"");
    let refused = admin.send(with_json(request, &json!({"ratePlanId": null}))).await;
    assert_eq!(refused.refused(400, "bad_request").faults(), ["if-match not_here"]);
    daemon.stop().await.unwrap();
}
