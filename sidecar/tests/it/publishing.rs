//! A publish that fails after the store has taken the change.

use trunkd::reload::STORED;

use crate::daemon::{get, ready, reload, start};
use crate::support::{Site, trunk_with_webhook, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_but_not_published_is_not_called_refused_and_comes_into_force() {
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    let daemon = start(&site).await;

    // No image can be written while the directory is elsewhere.
    let away = site.shm().with_extension("away");
    std::fs::rename(site.shm(), &away).unwrap();
    site.write("b.toml", "[[trunk]]\ntrunkId = \"second\"\n");
    site.write_main("endpoint_concurrency = 3");
    let state = reload(&daemon).await;
    assert_eq!(state["lastReload"]["result"], STORED, "{state}");
    assert_eq!(state["lastReload"]["problems"].as_array().unwrap().len(), 1, "{state}");
    assert_eq!((state["publishedRevision"].as_u64(), state["storedRevision"].as_u64()), (Some(2), Some(3)));
    assert_eq!(state["ready"], false);

    // The same files again: still true, and the settings beside the trunks were taken over the first time.
    let state = reload(&daemon).await;
    assert_eq!(state["lastReload"]["result"], STORED, "{state}");
    let metrics = get(&daemon, "/metrics").await.1;
    for line in [
        format!("trunkline_reloads_total{{result=\"{STORED}\"}} 2"),
        "trunkline_last_reload_good 0".to_owned(),
        "trunkline_generation 1".to_owned(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("result=\"refused\""), "{metrics}");

    std::fs::rename(&away, site.shm()).unwrap();
    let state = until("the publish that is tried again", async || {
        let state = ready(&daemon).await;
        (state["publishedRevision"] == 3).then_some(state)
    })
    .await;
    assert_eq!((state["ready"].as_bool(), state["publishError"].as_str()), (Some(true), None));
    let result = until("its result", async || {
        let result = ready(&daemon).await["lastReload"]["result"].clone();
        (result != STORED).then_some(result)
    })
    .await;
    assert_eq!(result, "good");
    // Nothing is left of the main file that a reload would still have to take over.
    assert_eq!(reload(&daemon).await["lastReload"]["result"], "unchanged");
    daemon.stop().await.unwrap();
}
