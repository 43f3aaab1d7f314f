//! Who may do what: tokens, scopes, and accounts that cannot see each other.

use std::os::unix::fs::PermissionsExt as _;

use reqwest::Method;
use serde_json::json;

use super::{Caller, admin_token, daemon, text};
use crate::daemon::start;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_a_token_that_only_its_owner_can_read() {
    let (site, daemon, admin) = daemon().await;
    let file = site.database().with_file_name(trunkd::api::ADMIN_TOKEN);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = admin.get("/v1/tokens").await.expect(200);
    assert_eq!(listed.body["meta"]["total"], 1);
    assert_eq!(text(&listed.body["objects"][0]["scope"]), "admin");
    let id = text(&listed.body["objects"][0]["tokenId"]).to_owned();
    admin.delete(&format!("/v1/tokens/{id}")).await.refused(409, "last_admin_token");
    daemon.stop().await.unwrap();

    let before = admin_token(&site);
    let daemon = start(&site).await;
    assert_eq!(admin_token(&site), before, "made once");
    let admin = Caller::new(&daemon, &before);
    let listed = admin.get("/v1/tokens").await.expect(200);
    assert!(listed.body["objects"][0]["lastUsedAt"].is_string(), "{}", listed.text);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_there_is_nothing() {
    let (_site, daemon, admin) = daemon().await;
    let good =
        text(&admin.post("/v1/tokens", json!({"scope": "admin"})).await.expect(201).body["token"]).to_owned();
    let other_secret = format!("{}{}", &good[..good.len() - 1], if good.ends_with('a') { 'b' } else { 'a' });
    let mut answers = Vec::new();
    for token in [other_secret.as_str(), "tlk_aaaaaaaaaaaa_bbb", "x"] {
        let refused = admin.with_token(token).get("/v1/trunks").await.refused(401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"trunkline\"");
        answers.push(refused.body["detail"].clone());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "an unknown token and a wrong secret are told apart");
    for header in [None, Some("Basic YTpi"), Some("Bearer")] {
        let mut request = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(format!("http://{}/v1/trunks", daemon.address));
        if let Some(value) = header {
            request = request.header("authorization", value);
        }
        admin.send(request).await.refused(401, "unauthorized");
    }
    admin.with_token("x").send(admin.with_token("x").request(Method::GET, "/healthz")).await.expect(200);
    admin.with_token("x").get("/openapi.json").await.expect(200);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lives_until_it_is_deleted() {
    let (_site, daemon, admin) = daemon().await;
    let account = admin.account("Acme").await;
    let body = json!({"scope": "account", "accountId": account, "description": "ci"});
    let (path, made) = admin.make("/v1/tokens", body).await;
    let token = text(&made.body["token"]).to_owned();
    let holder = admin.with_token(&token);
    holder.get("/v1/trunks").await.expect(200);
    holder.get("/v1/trunks").await.expect(200);
    let read = admin.get(&path).await.expect(200);
    assert!(!read.text.contains(&token) && !read.text.contains("argon2"), "{}", read.text);
    let changed = admin.patch(&path, json!({"description": "ci 2"})).await.expect(200);
    assert_eq!(text(&changed.body["description"]), "ci 2");
    holder.get("/v1/trunks").await.expect(200);
    let refused = admin.patch(&path, json!({"scope": "admin", "token": "x"})).await;
    assert_eq!(refused.refused(422, "validation_failed").faults(), ["/token read_only", "/scope read_only"]);
    admin.delete(&path).await.expect(200);
    holder.get("/v1/trunks").await.refused(401, "unauthorized");

    // An account's tokens go with it.
    let made = admin.post("/v1/tokens", json!({"scope": "account", "accountId": account})).await.expect(201);
    let holder = admin.with_token(text(&made.body["token"]));
    holder.get("/v1/trunks").await.expect(200);
    admin.delete(&format!("/v1/accounts/{account}")).await.expect(200);
    holder.get("/v1/trunks").await.refused(401, "unauthorized");

    for (body, fault) in [
        (json!({}), "/scope required"),
        (json!({"scope": "root"}), "/scope invalid_scope"),
        (json!({"scope": "account"}), "/accountId required"),
        (json!({"scope": "account", "accountId": "nobody"}), "/accountId unknown_account"),
        (json!({"scope": "admin", "accountId": account}), "/accountId not_here"),
    ] {
        let refused = admin.post("/v1/tokens", body).await.refused(422, "validation_failed");
        assert_eq!(refused.faults(), [fault]);
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_cannot_see_each_other() {
    let (_site, daemon, admin) = daemon().await;
    let (mine, me) = admin.tenant("mine").await;
    let (theirs, they) = admin.tenant("theirs").await;
    let (trunk, made) = they.make("/v1/trunks", json!({"name": "t"})).await;
    assert_eq!(text(&made.body["accountId"]), theirs, "what an account makes is its own");
    let (acl, _) = they.make(&format!("{trunk}/ip-acls"), json!({"ipAddress": "192.0.2.1"})).await;
    let (user, _) = they.make(&format!("{trunk}/credentials"), json!({"username": "u"})).await;
    let (gateway, _) = they.make(&format!("{trunk}/origination-uris"), json!({"uri": "sip:192.0.2.9"})).await;
    let (app, _) = they.make("/v1/voice-applications", json!({})).await;
    let (unowned, _) = admin.make("/v1/trunks", json!({})).await;
    let token = text(&they.get("/v1/tokens").await.expect(200).body["objects"][0]["tokenId"]).to_owned();
    let (account, token) = (format!("/v1/accounts/{theirs}"), format!("/v1/tokens/{token}"));

    // What is theirs looks like what is not there, to the byte.
    let shape = |answer: super::Answer| {
        let mut body = answer.body.clone();
        body["requestId"] = json!("");
        (answer.status, body)
    };
    for path in [&trunk, &acl, &user, &gateway, &app, &unowned, &account, &token] {
        let parent = path.rsplit_once('/').unwrap().0;
        let nowhere = format!("{parent}/0193b2a4-0000-7000-8000-000000000000");
        assert_eq!(shape(me.get(path).await), shape(me.get(&nowhere).await), "{path}");
        let body = json!({"description": "mine now"});
        assert_eq!(
            shape(me.patch(path, body.clone()).await),
            shape(me.patch(&nowhere, body).await),
            "{path}"
        );
        assert_eq!(shape(me.delete(path).await), shape(me.delete(&nowhere).await), "{path}");
        me.get(path).await.refused(404, "not_found");
    }
    for below in ["ip-acls", "credentials", "origination-uris", "live"] {
        me.get(&format!("{trunk}/{below}")).await.refused(404, "not_found");
    }
    me.post(&format!("{trunk}/ip-acls"), json!({"ipAddress": "192.0.2.2"})).await.refused(404, "not_found");
    for list in ["/v1/trunks", "/v1/voice-applications"] {
        assert_eq!(me.get(list).await.body["meta"]["total"], 0, "{list}");
    }
    let listed = me.get("/v1/accounts").await.expect(200);
    assert_eq!(
        (&listed.body["meta"]["total"], text(&listed.body["objects"][0]["accountId"])),
        (&json!(1), mine.as_str())
    );
    let filtered = me.get(&format!("/v1/trunks?accountId={theirs}")).await.refused(400, "bad_query");
    assert_eq!(filtered.faults(), ["?accountId unknown_account"]);
    assert_eq!(filtered.body["errors"], me.get("/v1/trunks?accountId=nobody").await.body["errors"]);

    // Nor can anything be put into their hands or be taken for one's own.
    for owner in [json!(theirs), json!("nobody")] {
        for path in ["/v1/trunks", "/v1/voice-applications"] {
            let refused = me.post(path, json!({"accountId": owner})).await.refused(422, "validation_failed");
            assert_eq!(refused.faults(), ["/accountId unknown_account"]);
        }
        let refused = me.post("/v1/trunks:batch", json!([{"accountId": owner}])).await;
        assert_eq!(refused.refused(422, "validation_failed").faults(), ["/0/accountId unknown_account"]);
    }
    let (own, _) = me.make("/v1/trunks", json!({"accountId": mine})).await;
    for owner in [json!(theirs), json!(null)] {
        me.patch(&own, json!({"accountId": owner})).await.refused(422, "validation_failed");
    }
    me.patch(&own, json!({"name": "n"})).await.expect(200);
    me.get(&format!("/v1/accounts/{mine}")).await.expect(200);

    // What is the administrators' work says so, of one's own things and of whole paths only.
    me.patch(&format!("/v1/accounts/{mine}"), json!({"cpsLimit": 1000})).await.refused(403, "forbidden");
    me.delete(&format!("/v1/accounts/{mine}")).await.refused(403, "forbidden");
    me.post("/v1/accounts", json!({})).await.refused(403, "forbidden");
    me.post("/v1/tokens", json!({"scope": "admin"})).await.refused(403, "forbidden");
    me.get("/v1/status").await.refused(403, "forbidden");
    me.get("/v1/live").await.expect(200);
    they.get(&trunk).await.expect(200);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_files_manage_is_read_only() {
    let site = crate::support::Site::new();
    site.write(
        "a.toml",
        "[[account]]\naccountId = \"filed\"\n[[trunk]]\ntrunkId = \"acme\"\naccountId = \"filed\"\n\
        [[trunk.credentials]]\nusername = \"u\"\npassword = \"correct horse battery\"\n",
    );
    let daemon = start(&site).await;
    let admin = Caller::new(&daemon, &admin_token(&site));
    assert_eq!(text(&admin.get("/v1/trunks/acme").await.expect(200).body["managedBy"]), "file");
    let user = admin.get("/v1/trunks/acme/credentials").await.expect(200);
    let user = format!("/v1/trunks/acme/credentials/{}", text(&user.body["objects"][0]["credentialId"]));
    for path in ["/v1/trunks/acme", "/v1/accounts/filed", &user] {
        admin.patch(path, json!({"enabled": false})).await.refused(409, "managed_by_file");
        admin.delete(path).await.refused(409, "managed_by_file");
    }
    admin
        .post("/v1/trunks/acme/ip-acls", json!({"ipAddress": "192.0.2.1"}))
        .await
        .refused(409, "managed_by_file");
    let (own, _) = admin.make("/v1/trunks", json!({"accountId": "filed"})).await;
    admin.delete(&own).await.expect(200);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let site = crate::support::Site::new();
    let main = std::fs::read_to_string(site.main()).unwrap();
    let slow = main
        .replace("[api]\n", "[api]\ntoken_rate = 1\ntoken_burst = 5\naddress_rate = 1\naddress_burst = 20\n");
    std::fs::write(site.main(), slow).unwrap();
    let daemon = start(&site).await;
    let admin = Caller::new(&daemon, &admin_token(&site));
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(admin.get("/v1/accounts").await);
    }
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((5..15).contains(&good), "{good} of 30 were served");
    let refused = answers.pop().unwrap().refused(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Health has no limit.
    admin.get("/healthz").await.expect(200);
    daemon.stop().await.unwrap();
}
