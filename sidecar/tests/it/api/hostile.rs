//! Bodies, headers and paths that nobody sends by mistake: always one problem document, never a 500, never half a change.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use trunkd::app::Daemon;

use super::{Caller, daemon, text};
use crate::support::Site;

async fn raw(admin: &Caller, media: &str, body: impl Into<reqwest::Body>) -> super::Answer {
    let request = admin.request(Method::POST, "/v1/trunks").header("content-type", media).body(body);
    admin.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_no_json() {
    let (_site, daemon, admin) = daemon().await;
    for (body, fault) in [
        (&b""[..], " malformed_json"),
        (b"{", " malformed_json"),
        (b"{\"name\": \"a\"} x", " malformed_json"),
        (b"{\"name\": \"\xff\"}", " bad_utf8"),
        (b"\xef\xbb\xbf{}", " malformed_json"),
        (b"{\"name\": 1e999}", " malformed_json"),
        (b"{\"name\": \"a\", \"name\": \"b\"}", "/name duplicate_key"),
        (&b"[".repeat(100_000), " too_deep"),
        (&b"{\"name\":".repeat(100_000), " too_deep"),
    ] {
        let refused = raw(&admin, "application/json", body.to_vec()).await.refused(400, "malformed_body");
        assert_eq!(refused.faults(), [fault]);
    }
    // What is wrong with the text does not hide what is wrong with the fields.
    let refused = raw(&admin, "application/json", r#"{"secure": 1, "name": "a", "name": "b", "x": 1}"#).await;
    let faults = refused.refused(400, "malformed_body").faults();
    assert_eq!(faults, ["/name duplicate_key", "/secure wrong_type", "/x unknown_field"]);
    for body in ["[]", "null", "\"x\"", "7"] {
        let refused = raw(&admin, "application/json", body).await.refused(422, "validation_failed");
        assert_eq!(refused.faults(), [" wrong_type"], "{body}");
    }
    for media in ["", "text/plain", "application/json; charset=utf-16", "application/x-ndjson"] {
        raw(&admin, media, "{}").await.refused(415, "unsupported_media_type");
    }
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(1 << 20));
    raw(&admin, "application/json", large).await.refused(413, "body_too_large");
    assert_eq!(admin.get("/v1/trunks").await.body["meta"]["total"], 0);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_refuses_what_could_leak_elsewhere() {
    let (_site, daemon, admin) = daemon().await;
    let account = json!({"name": 1, "enabled": null, "cpsLimit": "2", "cpsBurst": 0, "concurrentCallsLimit": 1.5,
        "accountId": "mine", "unknown": {}});
    let refused = admin.post("/v1/accounts", account).await.refused(422, "validation_failed");
    let mut faults = refused.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "/accountId read_only",
            "/concurrentCallsLimit wrong_type",
            "/cpsBurst out_of_range",
            "/cpsLimit wrong_type",
            "/enabled wrong_type",
            "/name wrong_type",
            "/unknown unknown_field",
        ]
    );
    for bad in
        ["a\rb", "a\nb", "a\0b", "a\"b", "a'b", "a`b", "a\\b", "a\u{2028}b", "a\u{85}b", &"x".repeat(256)]
    {
        for (path, field) in [
            ("/v1/accounts", "name"),
            ("/v1/trunks", "name"),
            ("/v1/trunks", "description"),
            ("/v1/trunks", "accountId"),
            ("/v1/trunks", "authMode"),
            ("/v1/trunks", "transport"),
            ("/v1/trunks", "webhookUrl"),
            ("/v1/voice-applications", "applicationName"),
        ] {
            let mut body = json!({});
            body[field] = json!(bad);
            let refused = admin.post(path, body).await.refused(422, "validation_failed");
            assert!(
                refused.faults()[0].starts_with(&format!("/{field} ")),
                "{field}: {bad:?}: {}",
                refused.text
            );
        }
        let parts = json!({"ipAcls": [{"ipAddress": bad}], "credentials": [{"username": bad, "description": bad}],
            "originationUris": [{"uri": format!("sip:{bad}")}], "allowedRegions": [bad]});
        let mut faults = admin.post("/v1/trunks", parts).await.refused(422, "validation_failed").faults();
        faults.sort();
        let places: Vec<_> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
        let wanted = [
            "/allowedRegions/0",
            "/credentials/0/description",
            "/credentials/0/username",
            "/ipAcls/0/ipAddress",
            "/originationUris/0/uri",
        ];
        assert_eq!(places, wanted, "{bad:?}");
    }
    // A password is never repeated, whatever is wrong with it.
    for bad in ["short-secret", "secret\nsecret\nsecret", &"s3cretS".repeat(40), "aaaabbbbcccc"] {
        let (path, _) = admin.make("/v1/trunks", json!({})).await;
        let body = json!({"username": "u", "password": bad, "enabled": 0});
        let refused = admin.post(&format!("{path}/credentials"), body).await;
        assert!(!refused.text.contains("ecret") && !refused.text.contains("aaaa"), "{}", refused.text);
        refused.refused(422, "validation_failed");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_faults_gets_a_short_answer() {
    let (_site, daemon, admin) = daemon().await;
    let mut body = serde_json::Map::new();
    for index in 0..20_000 {
        body.insert(format!("{index}-{}", "k".repeat(20)), Value::Null);
    }
    body.insert("z".repeat(100_000), Value::Null);
    let refused = admin.post("/v1/trunks", Value::Object(body)).await.refused(422, "validation_failed");
    assert_eq!(refused.faults().len(), 100);
    assert!(text(&refused.body["detail"]).contains("20001 faults"), "{}", refused.body["detail"]);
    assert!(refused.text.len() < 200_000, "{}", refused.text.len());
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_axum_refuses_is_a_problem_document_too() {
    let (_site, daemon, admin) = daemon().await;
    admin.get("/v1/nothing").await.refused(404, "not_found");
    admin.get("/v1/trunks/").await.refused(404, "not_found");
    admin.get("/v1/trunks/%ff").await.refused(400, "bad_request");
    admin.get("/v1/trunks/a%2fb").await.refused(404, "not_found");
    admin.get(&format!("/v1/trunks/{}", "x".repeat(5000))).await.refused(404, "not_found");
    admin.get("/v1/trunks/a/credentials/not-a-uuid").await.refused(404, "not_found");
    let refused =
        admin.send(admin.request(Method::PUT, "/v1/trunks")).await.refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD,POST");
    let refused = admin.delete("/v1/status").await.refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD");
    for (name, value) in [("if-match", "7"), ("if-none-match", "\"a"), ("idempotency-key", "")] {
        let request = admin.request(Method::DELETE, "/v1/trunks/x").header(name, value);
        let refused = admin.send(request).await.refused(400, "malformed_header");
        assert_eq!(refused.faults(), [format!("{name} malformed_header")]);
    }
    let request = admin.request(Method::GET, "/v1/trunks").header("x-request-id", "mine-7");
    assert_eq!(admin.send(request).await.header("x-request-id"), "mine-7");
    daemon.stop().await.unwrap();
}

/// Sends a body in chunks after a good head, as far as it is wanted, and reads what is answered.
async fn chunked(site: &Site, daemon: &Daemon, chunks: impl Iterator<Item = Vec<u8>>) -> String {
    let token = super::admin_token(site);
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    let head = format!(
        "POST /v1/trunks HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for chunk in chunks {
        // Whoever has read enough closes.
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_length_nobody_told_has_the_same_limit_and_needs_its_end() {
    let (site, daemon, admin) = daemon().await;
    let chunk = [b"10000\r\n".to_vec(), b"x".repeat(0x10000), b"\r\n".to_vec()].concat();
    let answer = chunked(&site, &daemon, std::iter::repeat_n(chunk, 17)).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    let answer = chunked(&site, &daemon, std::iter::once(b"2\r\n{}\r\nzz\r\n".to_vec())).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("body_cut_off"), "{answer}");
    assert_eq!(admin.get("/v1/trunks").await.body["meta"]["total"], 0);
    daemon.stop().await.unwrap();
}
