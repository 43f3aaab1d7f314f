//! Calls that lost their dialog while Kamailio lives, with the module's own code as Kamailio's memory and a Kamailio that
//! answers what the test says.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trunk_admission::instance::Instance;
use trunk_admission::live::SlotRef;
use trunkd::app::Daemon;
use trunkd::clock::SystemClock;
use trunkd::events::{self, Ingest, Lookout};
use trunkd::kamailio::rpc::{Client, Place};
use trunkd::metrics::Metrics;
use trunkd::status::Status;
use trunkd::webhook::Wakes;
use uuid::Uuid;

use crate::kamailio_fake::Fake;
use crate::ring::{admit, module};
use crate::support::{Site, trunk_with_webhook, until};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The module's memory with a table in it, a Kamailio to be asked, and the two tasks.
struct Scene {
    site: Site,
    module: Instance,
    fake: Fake,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Scene {
    async fn start() -> Scene {
        let site = Site::new();
        site.write("a.toml", &trunk_with_webhook("acme", "http://127.0.0.1:9/"));
        // Publishes the table.
        let daemon = Daemon::start(site.main(), site.load().into(), None).await.unwrap();
        daemon.stop().await.unwrap();
        let mut module = module(&site.shm(), 16);
        module.refresh();
        module.mark_restored();
        let dir = site.main().parent().unwrap().to_owned();
        let (fake, metrics, stop) = (Fake::start(&dir), Metrics::new().unwrap(), CancellationToken::new());
        let place = Place { socket: fake.socket.clone(), replies: dir.join("answers"), group: None };
        let (finds, lost) = mpsc::channel(1);
        let lookout = Lookout::new(Arc::new(Client::new(place)), LOOK_EVERY, metrics.clone(), finds);
        let deps = events::Deps {
            dir: site.shm(),
            store: site.store().await,
            clock: Arc::new(SystemClock),
            wakes: Wakes::default(),
            metrics: metrics.clone(),
            status: Arc::new(Status::default()),
        };
        let ingest = Ingest::new(deps, lost);
        let tasks = vec![tokio::spawn(lookout.run(stop.clone())), tokio::spawn(ingest.run(stop.clone()))];
        Scene { site, module, fake, metrics, stop, tasks }
    }

    /// What Kamailio answers from now on: each of these once, and the last again and again.
    fn suspect(&self, file: u64, epoch: u64, looks: &[&[(&str, SlotRef)]]) {
        let answer = |suspects: &&[(&str, SlotRef)]| {
            let suspects: Vec<_> =
                suspects.iter().map(|(why, slot)| format!("{why} {}", slot.to_raw())).collect();
            json!({
                "file": file.to_string(), "epoch": epoch.to_string(), "restored": "1", "next": "-1",
                "suspects": suspects
            })
        };
        self.fake.state().suspects = looks.iter().map(answer).collect();
    }

    fn looks(&self) -> u64 {
        self.metrics.sweep.looks.with_label_values(&["good"]).get()
    }

    /// Waits until Kamailio was asked so often from now on.
    async fn after_looks(&self, count: u64) {
        let wanted = self.looks() + count;
        until("Kamailio to be asked", async || (self.looks() >= wanted).then_some(())).await;
    }

    fn orphans(&self, kind: &str) -> u64 {
        self.metrics.sweep.orphans.with_label_values(&[kind]).get()
    }

    async fn stop(self) -> (Site, Instance, Metrics) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
        (self.site, self.module, self.metrics)
    }
}

/// Calls that ended, with their status.
fn ended(site: &Site) -> HashSet<(Uuid, String)> {
    let db = rusqlite::Connection::open(site.database()).unwrap();
    let mut select = db.prepare("SELECT call_id, status FROM calls WHERE reconciled = 1").unwrap();
    let rows = select.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).map(|(id, status)| (Uuid::from_bytes(id), status)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_lost_their_dialog_end_once_and_healthy_ones_go_on() {
    let mut scene = Scene::start().await;
    let [gone, untied, broken, healthy] =
        ["gone", "untied", "broken", "healthy"].map(|call| admit(&mut scene.module, call));
    scene.module.answered(gone.slot, 3_000);
    scene.module.answered(healthy.slot, 3_000);
    let broke_off = AssertUnwindSafe(|| scene.module.end(broken.slot, |_| panic!("on purpose")));
    assert!(catch_unwind(broke_off).is_err());
    let (file, epoch) = (scene.module.live().file(), scene.module.live().epoch());
    let lost = [("gone", gone.slot), ("untied", untied.slot), ("ending", broken.slot)];

    // A moment's suspicion convicts nobody.
    scene.suspect(file, epoch, &[&[("gone", healthy.slot)], &[], &[("gone", healthy.slot)], &lost]);
    let freed = async || (scene.module.live().slots_in_use().len() == 1).then_some(());
    until("the slots to be free", freed).await;
    // What the broken ending left in the counts goes too.
    let right = async || (scene.module.live().node_calls() == 1).then_some(());
    until("the counts to be right", right).await;
    scene.after_looks(3).await;
    assert_eq!(["gone", "untied", "ending"].map(|kind| scene.orphans(kind)), [1, 1, 1]);
    assert_eq!(scene.metrics.reconciled.get(), 3, "one event for each, once");
    assert_eq!(scene.metrics.sweep.drift.with_label_values(&["under"]).get(), 0);
    let over = scene.metrics.sweep.drift.with_label_values(&["over"]).get();
    assert!(over >= 2, "its trunk's count and the node's: {over}");

    let (site, module, _) = scene.stop().await;
    let wanted = [gone, untied, broken].map(|call| (Uuid::from_bytes(call.uid), "UNKNOWN".to_owned()));
    assert_eq!(ended(&site), wanted.into());
    let mut told = None;
    assert!(module.end(healthy.slot, |call| told = Some(call.answer_wall_ms)));
    assert_eq!((told, module.live().node_calls(), module.live().counters().underflows), (Some(3_000), 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_kamailio_says_frees_nothing_here() {
    let mut scene = Scene::start().await;
    let call = admit(&mut scene.module, "call");
    let (file, epoch) = (scene.module.live().file(), scene.module.live().epoch());
    for (file, epoch) in [(file + 1, epoch), (file, epoch + 1)] {
        scene.suspect(file, epoch, &[&[("gone", call.slot), ("ending", call.slot), ("judging", call.slot)]]);
        scene.after_looks(4).await;
    }
    // Neither does one that does not know the question.
    scene.fake.state().suspects.clear();
    let failed = || scene.metrics.sweep.looks.with_label_values(&["failed"]).get();
    until("a look to fail", async || (failed() > 2).then_some(())).await;
    assert_eq!(scene.module.live().slots_in_use().len(), 1);
    let (site, module, _) = scene.stop().await;
    assert!(ended(&site).is_empty());
    assert!(module.end(call.slot, |_| {}));
}
