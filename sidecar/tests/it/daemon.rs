//! The whole daemon inside the test: start, reload, what HTTP says, stop.

use serde_json::{Value, json};
use trunkd::app::Daemon;

use crate::api::{Caller, admin_token};
use crate::ring::{admit, module};
use crate::support::{Site, trunk_with_webhook, until};

/// A daemon of these files.
pub(crate) async fn start(site: &Site) -> Daemon {
    Daemon::start(site.main(), site.load().into(), None).await.unwrap()
}

/// Status and body.
pub(crate) async fn get(daemon: &Daemon, path: &str) -> (u16, String) {
    get_at(&daemon.address.to_string(), path).await
}

/// The same of a daemon that is only known by its address.
pub(crate) async fn get_at(address: &str, path: &str) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("http://{address}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What `/readyz` says.
pub(crate) async fn ready(daemon: &Daemon) -> Value {
    serde_json::from_str(&get(daemon, "/readyz").await.1).unwrap()
}

/// Reloads and waits for the result to be another one than before.
pub(crate) async fn reload(daemon: &Daemon) -> Value {
    let before = ready(daemon).await["lastReload"]["at"].clone();
    daemon.reload();
    until("a reload", async || {
        let state = ready(daemon).await;
        (state["lastReload"]["at"] != before).then_some(state)
    })
    .await
}

/// What the report of a reload says, apart from who asked for it.
async fn reload_by_api(admin: &Caller, query: &str) -> Value {
    admin.post(&format!("/v1/reload{query}"), Value::Null).await.expect(200).body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_told_with_the_calls_it_touches_before_and_after_it_is_carried_out() {
    const USER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    let desk = |cps: u32| {
        format!(
            "[[voiceApplication]]\napplicationId = \"desk\"\nsipUri = \"sip:{USER}@in.sip.example.net\"\n\
             passwordAuthEnabled = true\nsipAuthPassword = \"correct horse battery\"\ncpsLimit = {cps}\n"
        )
    };
    site.write("b.toml", &desk(1));
    let daemon = start(&site).await;
    let admin = Caller::new(&daemon, &admin_token(&site));
    assert_eq!(reload_by_api(&admin, "").await["result"], "unchanged", "files mean the same each time");

    let mut kamailio = module(&site.shm(), 64);
    admit(&mut kamailio, "up");
    site.write("a.toml", "");
    site.write("b.toml", &desk(2));
    let revision = ready(&daemon).await["storedRevision"].as_i64().unwrap();
    let planned = reload_by_api(&admin, "?dryRun=true").await;
    let plan = json!({"added": 0, "changed": 1, "removed": 1, "callsTouched": 1,
        "lines": ["removed trunk acme", "changed application desk: limits"]});
    assert_eq!((&planned["result"], &planned["plan"]), (&json!("planned"), &plan), "{planned}");
    assert_eq!(ready(&daemon).await["storedRevision"], revision, "a plan changes nothing");

    let done = reload_by_api(&admin, "").await;
    assert_eq!((&done["result"], &done["plan"]), (&json!("good"), &plan), "{done}");
    assert_eq!((&done["callsAfter"], &done["revision"]), (&json!(1), &json!(revision + 1)), "{done}");

    // What the API manages, files do not get under the same id; everything stays as it is.
    let (path, _) = admin.make("/v1/trunks", json!({"name": "of the API"})).await;
    let id = path.rsplit('/').next().unwrap();
    site.write("c.toml", &format!("[[trunk]]\ntrunkId = \"new\"\n[[trunk]]\ntrunkId = \"{id}\"\n"));
    let refused = reload_by_api(&admin, "").await;
    assert_eq!(refused["result"], "refused", "{refused}");
    let problem = refused["problems"][0].as_str().unwrap();
    assert!(problem.contains(&format!("trunk \"{id}\" is managed by the API")), "{problem}");
    assert_eq!(ready(&daemon).await["storedRevision"], revision + 2);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_change_is_put_in_force_and_a_bad_one_changes_nothing() {
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    let daemon = start(&site).await;
    assert_eq!(daemon.generation(), 1);
    assert_eq!(get(&daemon, "/healthz").await.0, 200);
    let state = ready(&daemon).await;
    assert_eq!((state["ready"].as_bool(), state["generation"].as_u64()), (Some(true), Some(1)));
    assert!(state["module"].as_str().unwrap().contains("waiting"));

    let state = reload(&daemon).await;
    assert_eq!(state["lastReload"]["result"], "unchanged");
    assert_eq!(state["generation"], 1, "nothing changed, nothing is published");

    site.write(
        "a.toml",
        &format!(
            "{}[[trunk]]\ntrunkId = \"second\"\n",
            trunk_with_webhook("acme", "https://hooks.example.com/")
        ),
    );
    let state = reload(&daemon).await;
    assert_eq!(state["lastReload"]["result"], "good");
    assert_eq!((state["generation"].as_u64(), state["publishedRevision"].as_u64()), (Some(2), Some(3)));

    site.write("b.toml", "[[trunk]]\ntrunkId = \"third\"\n[[trunk]]\ntrunkId = \"Bad\"\nx = 1\n");
    let state = reload(&daemon).await;
    assert_eq!(state["lastReload"]["result"], "refused");
    assert_eq!(state["lastReload"]["problems"].as_array().unwrap().len(), 2);
    assert_eq!((state["generation"].as_u64(), state["ready"].as_bool()), (Some(2), Some(true)));

    site.write("b.toml", "");
    site.write_main("[node.x]");
    let state = reload(&daemon).await;
    assert_eq!(state["lastReload"]["result"], "refused");
    let (code, metrics) = get(&daemon, "/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "trunkline_generation 2",
        "trunkline_trunks 2",
        "trunkline_last_reload_good 0",
        "trunkline_reloads_total{result=\"refused\"} 2",
        "trunkline_reloads_total{result=\"good\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_refused_by_a_reload() {
    let site = Site::new();
    let daemon = start(&site).await;
    let text = std::fs::read_to_string(site.main()).unwrap();
    std::fs::write(site.main(), text.replace("sip.example.net", "sip.example.org")).unwrap();
    let state = reload(&daemon).await;
    assert_eq!(state["lastReload"]["result"], "refused");
    assert!(state["lastReload"]["problems"][0].as_str().unwrap().contains("node.base_domain: cannot change"));
    assert_eq!(state["generation"], 1);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_store_is() {
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    start(&site).await.stop().await.unwrap();
    let daemon = start(&site).await;
    let state = ready(&daemon).await;
    assert_eq!((state["generation"].as_u64(), state["publishedRevision"].as_u64()), (Some(2), Some(2)));
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_memory_does_not_start() {
    let site = Site::new();
    let daemon = start(&site).await;
    let second = Daemon::start(site.main(), site.load().into(), None).await;
    assert!(second.is_err());
    assert_eq!(ready(&daemon).await["ready"], true);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_trunk_files_do_not_keep_the_stored_configuration_from_starting() {
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    start(&site).await.stop().await.unwrap();

    // A good file beside the bad one, and a changed node: nothing of it may come into force.
    site.write("b.toml", "[[trunk]]\ntrunkId = \"second\"\n");
    site.write("c.toml", "[[trunk]]\ntrunkId = \"Bad\"\nx = 1\n");
    let main = std::fs::read_to_string(site.main()).unwrap();
    std::fs::write(site.main(), main.replace("sip.example.net", "sip.example.org")).unwrap();
    let loaded = trunkd::config::load_main(&site.main()).unwrap();
    assert_eq!((loaded.problems.len(), loaded.config.provisioned.trunks.len()), (2, 0));
    let daemon = Daemon::start(site.main(), loaded, None).await.unwrap();
    let state = ready(&daemon).await;
    assert_eq!((state["ready"].as_bool(), state["publishedRevision"].as_u64()), (Some(true), Some(2)));
    assert_eq!(state["lastReload"]["result"], "refused");
    assert_eq!(state["lastReload"]["problems"].as_array().unwrap().len(), 2);
    let metrics = get(&daemon, "/metrics").await.1;
    for line in [
        "trunkline_last_reload_good 0",
        "trunkline_reloads_total{result=\"refused\"} 1",
        "trunkline_trunks 1",
        "trunkline_config_revision 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }

    // The domain in force is the stored one, so the other one needs a restart even when the trunk files are good.
    site.write("c.toml", "");
    let state = reload(&daemon).await;
    assert!(state["lastReload"]["problems"][0].as_str().unwrap().contains("node.base_domain"), "{state}");
    std::fs::write(site.main(), main).unwrap();
    let state = reload(&daemon).await;
    assert_eq!(
        (state["lastReload"]["result"].as_str(), state["publishedRevision"].as_u64()),
        (Some("good"), Some(3))
    );
    daemon.stop().await.unwrap();
}
