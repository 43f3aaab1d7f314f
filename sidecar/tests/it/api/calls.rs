//! The call log over HTTP: who sees which call, filters and places, CSV, sums, and what `trunkctl` makes of it.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use trunk_admission::Reason;
use trunk_admission::instance::Instance;
use trunkd::app::Daemon;
use trunkd::http::WRITE_TIMEOUT;
use uuid::Uuid;

use super::{Answer, Caller, admin_token, text};
use crate::daemon::start;
use crate::ring::{module, push_judged, push_whole_call_of};
use crate::support::{Site, until};

/// Two accounts with a trunk each, and what happened on them: ten whole calls of mine, two refused ones, one of theirs, and
/// one that nobody's trunk was asked for.
struct Scene {
    _site: Site,
    _module: Instance,
    daemon: Daemon,
    admin: Caller,
    me: Caller,
    they: Caller,
    account: String,
    trunk: String,
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

impl Scene {
    async fn new() -> Scene {
        let site = Site::new();
        let daemon = start(&site).await;
        let admin = Caller::new(&daemon, &admin_token(&site));
        let (account, me) = admin.tenant("mine").await;
        let (other, they) = admin.tenant("theirs").await;
        let trunk = async |caller: &Caller| {
            let made = caller.make("/v1/trunks", json!({})).await.1;
            text(&made.body["trunkId"]).to_owned()
        };
        let (mine, theirs) = (trunk(&me).await, trunk(&they).await);
        let module = module(&site.shm(), 256);
        for number in 1..=10 {
            push_whole_call_of(&module, id(number), &mine, &account, 1_000 * number as u64);
        }
        push_judged(&module, id(11), &mine, &account, Some(Reason::CpsExceeded), 11_000);
        push_judged(&module, id(12), &mine, &account, Some(Reason::CpsExceeded), 12_000);
        push_whole_call_of(&module, id(13), &theirs, &other, 13_000);
        push_judged(&module, id(14), "", "", Some(Reason::UnknownDestination), 14_000);
        until("the calls", async || {
            let found = admin.get("/v1/calls?sipCallId=abc@host").await.expect(200).body;
            let ended = found["objects"].as_array().unwrap().iter().filter(|call| call["status"].is_string());
            (found["meta"]["total"] == 14 && ended.count() == 14).then_some(())
        })
        .await;
        Scene { _site: site, _module: module, daemon, admin, me, they, account, trunk: mine }
    }

    /// 30 MB of log, so that a file that nobody reads is not written to its end.
    fn fill_more_than_sockets_hold(&self) {
        let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
             INSERT INTO calls (call_id, kind, start_ms, allowed, limit_value, count_value, wait_ms, generation, attempts,
                reconciled, request_uri)
             SELECT randomblob(16), 'trunk', 1, 1, 0, 0, 0, 1, 1, 0, printf('%.*c', 20000, 'x') FROM n";
        rusqlite::Connection::open(self._site.database()).unwrap().execute(copies, []).unwrap();
    }
}

/// Asks for the whole log as a file and reads nothing of it but its head.
async fn unread(caller: &Caller) -> reqwest::Response {
    let request = caller.request(reqwest::Method::GET, "/v1/calls").header("accept", "text/csv");
    request.send().await.unwrap()
}

/// The numbers of the calls of a list, in its order.
fn numbers(answer: &Answer) -> Vec<u128> {
    let calls = answer.body["objects"].as_array().unwrap().iter();
    calls.map(|call| text(&call["callId"]).parse::<Uuid>().unwrap().as_u128()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_tells_everything_to_those_whose_it_is() {
    let scene = Scene::new().await;
    let path = format!("/v1/calls/{}", id(3));
    let answer = scene.me.get(&path).await.expect(200);
    for (field, value) in [
        ("callId", json!(id(3).to_string())),
        ("sipCallId", json!("abc@host")),
        ("accountId", json!(scene.account)),
        ("trunkId", json!(scene.trunk)),
        ("applicationId", Value::Null),
        ("direction", json!("outbound")),
        ("from", json!("+15550100001")),
        ("fromHost", json!("pbx.example")),
        ("to", json!("al\\xffice")),
        ("requestUri", json!("sip:alice@acme.sip.example.net")),
        ("sourceIp", json!("192.0.2.7")),
        ("sourcePort", json!(5062)),
        ("allowed", json!(true)),
        ("reason", Value::Null),
        ("limit", Value::Null),
        ("generation", json!(1)),
        ("gateway", json!("sip:127.0.0.1:5070")),
        ("attempts", json!(2)),
        ("startAt", json!("1970-01-01T00:00:03.000Z")),
        ("ringAt", json!("1970-01-01T00:00:03.500Z")),
        ("answerAt", json!("1970-01-01T00:00:05.000Z")),
        ("endAt", json!("1970-01-01T00:00:10.001Z")),
        ("durationMs", json!(7_001)),
        ("billableSeconds", json!(6)),
        ("ringMs", json!(1_500)),
        ("sipCode", json!(200)),
        ("q850Cause", json!(16)),
        ("status", json!("NORMAL_CLEARING")),
        ("hangupBy", json!("callee")),
        ("reconciled", json!(false)),
    ] {
        assert_eq!(answer.body[field], value, "{field}: {}", answer.text);
    }
    let known = scene.me.request(reqwest::Method::GET, &path).header("if-none-match", answer.etag());
    scene.me.send(known).await.expect(304);
    let refused = scene.me.get(&format!("/v1/calls/{}", id(11))).await.expect(200).body;
    assert_eq!(
        (
            &refused["reason"],
            &refused["limit"],
            &refused["count"],
            &refused["retryAfterMs"],
            &refused["sipCode"]
        ),
        (&json!("cps_exceeded"), &json!(2), &json!(2), &json!(1_500), &json!(503))
    );
    assert_eq!(refused["status"], "SWITCH_CONGESTION");

    // What is not there, what is theirs and what is nobody's is all the same to me.
    for number in [13, 14, 99] {
        scene.me.get(&format!("/v1/calls/{}", id(number))).await.refused(404, "not_found");
    }
    scene.me.get("/v1/calls/x").await.refused(404, "not_found");
    scene.they.get(&path).await.refused(404, "not_found");
    scene.admin.get(&path).await.expect(200);
    scene.admin.get(&format!("/v1/calls/{}", id(14))).await.expect(200);
    scene.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_confined_and_go_on() {
    let scene = Scene::new().await;
    let (me, admin) = (&scene.me, &scene.admin);
    assert_eq!(numbers(&admin.get("/v1/calls").await), (1..=14).rev().collect::<Vec<_>>());
    assert_eq!(numbers(&me.get("/v1/calls").await), (1..=12).rev().collect::<Vec<_>>());
    assert_eq!(numbers(&scene.they.get("/v1/calls").await), [13]);
    for (query, wanted) in [
        (format!("trunkId={}", scene.trunk), (1..=12).rev().collect()),
        (format!("applicationId={}", scene.trunk), vec![]),
        (format!("accountId={}&allowed=false", scene.account), vec![12, 11]),
        ("status=SWITCH_CONGESTION".into(), vec![12, 11]),
        ("direction=inbound".into(), vec![]),
        ("since=1970-01-01T00:00:02Z&until=1970-01-01T00:00:04%2B00:00".into(), vec![3, 2]),
        ("from=%2B15550100001&limit=1".into(), vec![12]),
        ("offset=11".into(), vec![1]),
        ("offset=12".into(), vec![]),
    ] {
        assert_eq!(numbers(&me.get(&format!("/v1/calls?{query}")).await.expect(200)), wanted, "{query}");
    }
    let first = me.get("/v1/calls?limit=5").await.expect(200);
    assert_eq!((&first.body["meta"]["total"], &first.body["meta"]["limit"]), (&json!(12), &json!(5)));
    let cursor = text(&first.body["meta"]["nextCursor"]);
    let rest = me.get(&format!("/v1/calls?limit=100&cursor={cursor}")).await.expect(200);
    assert_eq!(numbers(&rest), (1..=7).rev().collect::<Vec<_>>());
    assert_eq!((&rest.body["meta"]["total"], &rest.body["meta"]["nextCursor"]), (&Value::Null, &Value::Null));
    // A cursor is a place, not a right.
    assert_eq!(numbers(&scene.they.get(&format!("/v1/calls?cursor={cursor}")).await.expect(200)), [0; 0]);

    for (query, fault) in [
        ("status=FINE", "?status invalid_parameter"),
        ("direction=up", "?direction invalid_parameter"),
        ("since=yesterday", "?since invalid_time"),
        ("since=1970-01-02T00:00:00Z&until=1970-01-01T00:00:00Z", "?until out_of_range"),
        ("offset=10001", "?offset out_of_range"),
        ("cursor=abc", "?cursor invalid_parameter"),
        ("trunkId=a&applicationId=b", "?applicationId not_here"),
        ("trunkId=a&direction=inbound", "?direction not_here"),
        ("accountId=none", "?accountId unknown_account"),
        ("page=2", "?page unknown_field"),
    ] {
        let answer = me.get(&format!("/v1/calls?{query}")).await.refused(400, "bad_query");
        assert_eq!(answer.faults(), [fault], "{query}");
    }
    let both = me.get(&format!("/v1/calls?offset=1&cursor={cursor}")).await.refused(400, "bad_query");
    assert_eq!(both.faults(), ["?offset not_here"]);
    scene.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_calls_as_one_file_and_as_sums() {
    let scene = Scene::new().await;
    let csv = async |query: &str, accept: &str| {
        let request = scene.me.request(reqwest::Method::GET, &format!("/v1/calls{query}"));
        scene.me.send(request.header("accept", accept)).await
    };
    let answer = csv("", "text/csv").await.expect(200);
    assert!(answer.header("content-type").starts_with("text/csv"), "{:?}", answer.headers);
    let lines: Vec<&str> = answer.text.split_terminator("\r\n").collect();
    assert_eq!((lines.len(), lines[0].split(',').next()), (13, Some("callId")));
    assert!(
        lines[1].starts_with(&id(12).to_string()) && lines[12].contains(",NORMAL_CLEARING,callee,"),
        "{}",
        answer.text
    );
    assert_eq!(
        csv("?status=USER_BUSY", "text/csv").await.expect(200).text.lines().count(),
        1,
        "the header alone"
    );
    for (accept, kind) in [
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("text/csv;q=0", "application/json"),
    ] {
        let answer = csv("", accept).await.expect(200);
        assert!(answer.header("content-type").starts_with(kind), "{accept}");
    }
    csv("?limit=5", "text/csv").await.refused(400, "bad_query");
    csv("?status=FINE", "text/csv").await.refused(400, "bad_query");

    let sums = scene.me.get("/v1/calls/summary").await.expect(200).body;
    for (field, value) in [
        ("attempts", json!(12)),
        ("admitted", json!(10)),
        ("refused", json!(2)),
        ("answered", json!(10)),
        ("answerRatio", json!(10.0 / 12.0)),
        ("averageDurationMs", json!(5_001)),
        ("billableSeconds", json!(60)),
        ("complete", json!(true)),
        ("completeSince", Value::Null),
    ] {
        assert_eq!(sums[field], value, "{field}: {sums}");
    }
    let none = scene.me.get("/v1/calls/summary?status=USER_BUSY").await.expect(200).body;
    assert_eq!((&none["attempts"], &none["answerRatio"]), (&json!(0), &Value::Null));
    assert_eq!(scene.admin.get("/v1/calls/summary").await.expect(200).body["attempts"], 14);
    scene.me.get("/v1/calls/summary?limit=5").await.refused(400, "bad_query");
    scene.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cuts_a_csv_file_off_and_never_ends_it() {
    let scene = Scene::new().await;
    scene.fill_more_than_sockets_hold();
    let answer = unread(&scene.admin).await;
    assert_eq!(answer.status(), 200);
    let (stopped, file) = tokio::join!(scene.daemon.stop(), answer.bytes());
    stopped.unwrap();
    assert!(file.is_err(), "{} bytes were taken for the whole log", file.unwrap().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_his_files_gets_no_more_of_them_and_takes_none_from_others() {
    let scene = Scene::new().await;
    scene.fill_more_than_sockets_hold();
    let mut taken = Vec::new();
    let refused = loop {
        let answer = unread(&scene.admin).await;
        match answer.status().as_u16() {
            200 => taken.push(answer),
            status => break (status, answer.text().await.unwrap()),
        }
    };
    assert!(refused.0 == 503 && refused.1.contains("\"busy\""), "{refused:?}");
    assert_eq!(taken.len(), 4);
    assert_eq!(unread(&scene.me).await.status(), 200);
    taken.pop();
    until("a place", async || (unread(&scene.admin).await.status() == 200).then_some(())).await;
    // Those that take nothing lose their connection.
    tokio::time::sleep(WRITE_TIMEOUT + Duration::from_secs(1)).await;
    for answer in taken {
        assert!(answer.bytes().await.is_err(), "it had all the time that it wanted");
    }
    scene.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn trunkctl_shows_the_call_log() {
    let scene = Scene::new().await;
    let url = format!("http://{}", scene.daemon.address);
    let token = scene.me.token.clone();
    let ctl = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkctl"));
        command.env("TRUNKLINE_URL", &url).env("TRUNKLINE_TOKEN", &token).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said, String::from_utf8(output.stderr).unwrap())
    };
    let (code, said, _) = ctl(&["calls", "--limit", "2"]).await;
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].trim_start().starts_with("START") && lines[1].contains("cps_exceeded"), "{said}");
    assert!(lines[3] == "2 of 12" && lines[4].starts_with("go on with --cursor "), "{said}");
    let cursor = lines[4].rsplit(' ').next().unwrap();
    let (_, said, _) = ctl(&["calls", "--limit", "1", "--cursor", cursor, "--json"]).await;
    let page: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(page["objects"][0]["callId"], id(10).to_string());
    let (_, said, _) = ctl(&["calls", &id(3).to_string()]).await;
    assert!(said.contains("NORMAL_CLEARING"), "{said}");
    let (code, said, _) = ctl(&["calls", "--csv", "--status", "SWITCH_CONGESTION"]).await;
    assert_eq!((code, said.lines().count()), (Some(0), 3), "{said}");
    let (_, said, _) = ctl(&["calls", "--summary"]).await;
    assert!(said.contains("averageDurationMs") && said.contains("5001"), "{said}");
    let (code, _, said) = ctl(&["calls", "--csv", "--status", "FINE"]).await;
    assert!(code == Some(1) && said.contains("?status"), "{said}");
    let (code, _, _) = ctl(&["calls", "--csv", "--limit", "3"]).await;
    assert_eq!(code, Some(64));
    scene.daemon.stop().await.unwrap();
}
