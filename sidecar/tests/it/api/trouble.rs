//! A store in trouble: 503 with a reason, an alarm in the metrics, nothing half-written, and no restart needed afterwards.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use rusqlite::Connection;
use serde_json::json;

use super::{Answer, Caller, admin_token, daemon, text};
use crate::command::{Running, api_of};
use crate::daemon::{get, ready, start};
use crate::support::Site;

fn unavailable(answer: Answer, code: &str) {
    let answer = answer.refused(503, code);
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database() {
    let (site, daemon, admin) = daemon().await;
    let (path, _) = admin.make("/v1/trunks", json!({"name": "before"})).await;
    let other = Connection::open(site.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    unavailable(admin.patch(&path, json!({"name": "after"})).await, "store_busy");
    assert_eq!(text(&admin.get(&path).await.expect(200).body["name"]), "before", "reading goes on");
    let state = ready(&daemon).await;
    assert_eq!(state["ready"], false, "{state}");
    let metrics = get(&daemon, "/metrics").await.1;
    assert!(
        metrics.lines().any(|line| line == "trunkline_store_errors_total{task=\"configuration\"} 1"),
        "{metrics}"
    );

    other.execute_batch("ROLLBACK").unwrap();
    admin.patch(&path, json!({"name": "after"})).await.expect(200);
    assert_eq!(ready(&daemon).await["ready"], true);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk() {
    let site = Site::new();
    let (running, ready_line) = Running::start_with_limits(&site);
    let admin = Caller::at(api_of(&ready_line), &admin_token(&site));
    let (path, _) = admin.make("/v1/trunks", json!({"name": "before"})).await;
    let log = std::fs::metadata(format!("{}-wal", site.database().display())).unwrap().len();

    running.limit_files(Some(log));
    for _ in 0..3 {
        let refused = admin.patch(&path, json!({"name": "after"})).await;
        assert!(["store_full", "store_failed"].contains(&text(&refused.body["code"])), "{}", refused.text);
        assert_eq!(refused.status, 503);
    }
    assert_eq!(text(&admin.get(&path).await.expect(200).body["name"]), "before", "reading goes on");
    assert_eq!(admin.get("/readyz").await.status, 503);
    let metrics = admin.get("/metrics").await.text;
    assert!(metrics.contains("trunkline_store_errors_total{task=\"configuration\"} 3"), "{metrics}");

    running.limit_files(None);
    let changed = admin.patch(&format!("{path}?wait=applied"), json!({"name": "after"})).await.expect(200);
    assert_eq!((&changed.body["applied"], admin.get("/readyz").await.status), (&json!(true), 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database() {
    let (site, daemon, admin) = daemon().await;
    let trunks: Vec<_> = (0..500).map(|index| json!({"name": format!("t{index}")})).collect();
    admin.post("/v1/trunks:batch", json!(trunks)).await.expect(201);
    daemon.stop().await.unwrap();
    // Every page but those that a start needs is overwritten, which is what a bad disk does.
    let daemon = start(&site).await;
    let admin = Caller::new(&daemon, &admin_token(&site));
    let pages: Vec<u32> = {
        let database = Connection::open(site.database()).unwrap();
        let sql = "SELECT pageno FROM dbstat WHERE name = 'trunks' AND pagetype = 'leaf'";
        let mut select = database.prepare(sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let file = OpenOptions::new().write(true).open(site.database()).unwrap();
    for page in &pages[1..] {
        file.write_all_at(&[0xa5; 4096], u64::from(page - 1) * 4096).unwrap();
    }
    // A change makes those who read look at the file again.
    admin.account("Acme").await;
    let mut told = 0;
    for offset in (0..500).step_by(20) {
        let answer = admin.get(&format!("/v1/trunks?offset={offset}")).await;
        match answer.status {
            200 => {}
            _ => {
                unavailable(answer, "store_damaged");
                told += 1;
            }
        }
    }
    assert!(told > 0, "nothing was damaged");
    let metrics = get(&daemon, "/metrics").await.1;
    assert!(
        metrics.contains(&format!("trunkline_store_errors_total{{task=\"api_read\"}} {told}")),
        "{metrics}"
    );
    daemon.stop().await.unwrap();
}
