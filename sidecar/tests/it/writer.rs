//! The one writer: turns, commits that nobody waits for, and what is published of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use trunk_admission::explain::{Explainer, Question};
use trunk_admission::live::Scope;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Now, Proof, Reason, Verdict};
use trunkd::change::{self, NotApplied, Publishing, Write, Writer};
use trunkd::clock::SystemClock;
use trunkd::domain::{Actor, Limits, Trunk};
use trunkd::metrics::Metrics;
use trunkd::publish::{Capacity, Handle, Settings};
use trunkd::status::Status;
use trunkd::store::sqlite::SqliteStore;
use trunkd::store::{Change, Store};

use crate::ring::module;
use crate::suite::{account, acl, gateway, node, put, trunk};
use crate::support::LIMITS;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A store, its writer, and the publishing that a test runs when it likes.
struct Scene {
    dir: TempDir,
    store: Arc<dyn Store>,
    status: Arc<Status>,
    writer: Writer,
    stop: CancellationToken,
}

impl Scene {
    async fn new(capacity: Capacity) -> (Scene, Publishing) {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&dir.path().join("store.sqlite")).unwrap());
        let (clock, status) = (Arc::new(SystemClock), Arc::new(Status::default()));
        let settings = Settings { dir: dir.path().join("shm"), group: None, capacity };
        let publish = Handle::start(settings, clock.clone(), Arc::clone(&status)).unwrap();
        let (writer, mut publishing) = change::new(change::Deps {
            store: Arc::clone(&store),
            publish,
            capacity,
            kamailio: LIMITS,
            clock,
            metrics: Metrics::new().unwrap(),
            status: Arc::clone(&status),
        });
        let scene = Scene { dir, store, status, writer, stop: CancellationToken::new() };
        scene.write(vec![Change::PutNode(node()), Change::PutAccount(account("acme"))]).await;
        publishing.start().await.unwrap();
        (scene, publishing)
    }

    fn shm(&self) -> std::path::PathBuf {
        self.dir.path().join("shm")
    }

    /// Runs publishing until the scene is gone.
    fn run(&self, publishing: Publishing) {
        tokio::spawn(publishing.run(self.stop.clone()));
    }

    async fn write(&self, changes: Vec<Change>) -> i64 {
        self.writer.begin().await.unwrap().commit(by_daemon(changes)).await.unwrap().revision
    }

    async fn publish(&self, changes: Vec<Change>) {
        let revision = self.write(changes).await;
        self.writer.applied(revision, PATIENCE).await.unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn by_daemon(changes: Vec<Change>) -> Write {
    Write { actor: Actor::Daemon, request_id: "test".into(), changes, idempotency: None }
}

const ROOM: Capacity = Capacity { trunks: 64, accounts: 64, gateways: 64 };

#[tokio::test(flavor = "multi_thread")]
async fn one_writes_at_a_time_and_sees_what_nobody_changes_meanwhile() {
    let (scene, _publishing) = Scene::new(ROOM).await;
    let first = scene.writer.begin().await.unwrap();
    let writer = scene.writer.clone();
    let second = tokio::spawn(async move { writer.begin().await.unwrap() });
    assert_eq!((first.base(), first.revision()), (1, 2));
    assert!(first.trunk("a").await.unwrap().is_none());
    let mut a = trunk("a", Some("acme"));
    first.settle(&mut a, None);
    let foretold = a.clone();
    assert!(!second.is_finished());
    let receipt = first.commit(by_daemon(vec![put(&a)])).await.unwrap();
    assert_eq!((receipt.revision, receipt.lines.len()), (2, 1));
    let second = second.await.unwrap();
    assert_eq!(second.base(), 2);
    assert_eq!(second.trunk("a").await.unwrap().unwrap().item, foretold, "ids and stamps are known before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_waits_for_is_made_and_published() {
    let (scene, publishing) = Scene::new(ROOM).await;
    let session = scene.writer.begin().await.unwrap();
    // Hangs up at the first chance.
    tokio::select! {
        biased;
        _ = session.commit(by_daemon(vec![put(&trunk("a", None))])) => {}
        () = std::future::ready(()) => {}
    }
    scene.run(publishing);
    scene.writer.applied(2, PATIENCE).await.unwrap();
    assert_eq!(scene.store.revision().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_meanwhile_is_published_in_one_go() {
    let (scene, publishing) = Scene::new(ROOM).await;
    let before = scene.status.get().generation.unwrap();
    let mut newest = 0;
    for index in 0..40 {
        newest = scene.write(vec![put(&trunk(&format!("t{index}"), Some("acme")))]).await;
    }
    let late = scene.writer.applied(newest, Duration::from_millis(1)).await;
    assert_eq!(late, Err(NotApplied::Late), "nobody publishes yet");
    scene.run(publishing);
    scene.writer.applied(newest, PATIENCE).await.unwrap();
    let state = scene.status.get();
    assert_eq!((state.generation, state.published_revision), (Some(before + 1), Some(newest)));
}

fn admit(module: &mut trunk_admission::instance::Instance, trunk: &str, call: u32) -> Verdict {
    module.refresh();
    let host = format!("{trunk}.sip.example.net");
    let attempt = Attempt {
        host: &Host::new(host.as_bytes()),
        user: b"",
        source: "192.0.2.7".parse().unwrap(),
        secure: true,
        call: module.call_key(b"call", b"tag", call),
    };
    let identity = module.identify(&attempt).unwrap();
    module.admit(&identity, &attempt, Proof::Verified, Now { mono_ns: 1_000_000_000, wall_ms: 1_000 })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_anothers_place_finds_it_swept_but_not_under_calls() {
    let (scene, publishing) = Scene::new(Capacity { trunks: 2, ..ROOM }).await;
    scene.run(publishing);
    let mut module = module(&scene.shm(), 64);
    let open = |id: &str| Trunk {
        limits: Limits { cps: Some(5.0), cps_burst: None, concurrent_calls: Some(9) },
        ..trunk(id, None)
    };
    scene.publish(vec![put(&open("a")), put(&open("b"))]).await;
    let live = scene.store.trunk("b".into()).await.unwrap().unwrap().live;
    let line = |module: &trunk_admission::instance::Instance| {
        let line = module.live().line_view(Scope::Trunk(live), None, 0).unwrap();
        (line.calls, line.admitted_total)
    };
    let Verdict::Admitted(call) = admit(&mut module, "b", 1) else { panic!("refused") };
    assert_eq!(line(&module), (1, 1));

    // With a call of b still up, c takes the place over as it is.
    scene.publish(vec![Change::RemoveTrunk("b".into())]).await;
    scene.publish(vec![put(&open("c"))]).await;
    assert_eq!(scene.store.trunk("c".into()).await.unwrap().unwrap().live, live);
    assert_eq!(line(&module), (1, 1));
    assert!(module.end(call.slot, |_| ()));
    assert_eq!(line(&module), (0, 1));

    scene.publish(vec![Change::RemoveTrunk("c".into())]).await;
    scene.publish(vec![put(&open("d"))]).await;
    assert_eq!(line(&module), (0, 0), "nothing of c's is left");
    assert!(matches!(admit(&mut module, "d", 2), Verdict::Admitted(_)));
    assert_eq!(line(&module), (1, 1));
}

/// What callers of every trunk get, by an image.
fn verdicts(shm: &Path, ids: &BTreeMap<String, Trunk>) -> Vec<String> {
    let mut explainer = Explainer::open(shm).unwrap();
    let sources = ["192.0.2.7", "198.51.100.1", "203.0.113.9"];
    let questions = ids.keys().flat_map(|id| sources.map(|source| (id, source)));
    let told = questions.map(|(id, source)| {
        let host = format!("{id}.sip.example.net");
        let question = Question {
            host: host.as_bytes(),
            user: b"",
            source: source.parse().unwrap(),
            tls: true,
            username: Some(b"bob"),
        };
        let now = Now { mono_ns: 1_000_000_000, wall_ms: 1_000 };
        let told = explainer.explain(&question, now).unwrap();
        let gateways: Vec<_> = told.gateways.iter().map(|choice| (&choice.uri, choice.priority)).collect();
        format!("{id} {source}: {:?} {:?} {gateways:?} {:?}", told.refusal, told.trunk, told.steps)
    });
    told.collect()
}

#[derive(Clone, Debug)]
enum Step {
    Put { id: usize, networks: usize, gateways: usize, limit: u32, enabled: bool, owned: bool },
    Remove { id: usize },
    Account { enabled: bool, calls: u32 },
    Region { here: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let put = (0..400_usize, 0..3_usize, 0..3_usize, 0..5_u32, proptest::bool::ANY, proptest::bool::ANY);
    proptest::prop_oneof![
        8 => put.prop_map(|(id, networks, gateways, limit, enabled, owned)| {
            Step::Put { id, networks, gateways, limit, enabled, owned }
        }),
        4 => (0..400_usize).prop_map(|id| Step::Remove { id }),
        1 => (proptest::bool::ANY, 1..9_u32).prop_map(|(enabled, calls)| Step::Account { enabled, calls }),
        1 => proptest::bool::ANY.prop_map(|here| Step::Region { here }),
    ]
}

fn made(id: usize) -> String {
    format!("t{id:03}")
}

/// More trunks than fit into one image that is always made whole, so overlays and folds are met.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_change_by_change_is_what_a_start_publishes() {
    let (scene, publishing) = Scene::new(Capacity { trunks: 420, accounts: 8, gateways: 1_200 }).await;
    scene.run(publishing);
    let _kamailio = module(&scene.shm(), 64);
    let mut known: BTreeMap<String, Trunk> = BTreeMap::new();
    for id in 0..320 {
        known.insert(made(id), trunk(&made(id), None));
    }
    scene.publish(known.values().map(put).collect()).await;

    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for round in 0..12 {
        for _ in 0..25 {
            let change = match step().new_tree(&mut runner).unwrap().current() {
                Step::Put { id, networks, gateways, limit, enabled, owned } => {
                    let networks = ["192.0.2.7/32", "198.51.100.0/24"].into_iter().take(networks);
                    let gateways = ["sip:192.0.2.1", "sip:192.0.2.2:5070"].into_iter().take(gateways);
                    let wanted = Trunk {
                        ip_acls: networks.map(acl).collect(),
                        origination_uris: gateways.map(gateway).collect(),
                        limits: Limits { cps: Some(9.0), cps_burst: None, concurrent_calls: Some(limit) },
                        enabled,
                        ..trunk(&made(id), owned.then_some("acme"))
                    };
                    known.insert(made(id), wanted.clone());
                    put(&wanted)
                }
                Step::Remove { id } => Change::RemoveTrunk(made(id)),
                Step::Account { enabled, calls } => {
                    let limits = Limits { concurrent_calls: Some(calls), ..Limits::default() };
                    Change::PutAccount(trunkd::domain::Account { enabled, limits, ..account("acme") })
                }
                Step::Region { here } => {
                    let region = if here { "US" } else { "JP" }.parse().unwrap();
                    Change::PutNode(trunkd::domain::Node { region, ..node() })
                }
            };
            scene.write(vec![change]).await;
        }
        let newest = scene.store.revision().await.unwrap();
        scene.writer.applied(newest, PATIENCE).await.unwrap();

        let fresh = tempfile::tempdir().unwrap();
        let _kamailio = module(fresh.path(), 64);
        let capacity = Capacity { trunks: 420, accounts: 8, gateways: 1_200 };
        let table = scene.store.table(capacity).await.unwrap().unwrap();
        assert_eq!(table.revision, newest.cast_unsigned());
        let mut publisher = Publisher::open(fresh.path(), PublishOptions::default()).unwrap();
        publisher.publish(&table, None).unwrap();
        let (found, wanted) = (verdicts(&scene.shm(), &known), verdicts(fresh.path(), &known));
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found, wanted, "round {round}");
        }
        for reason in [Reason::SourceDenied, Reason::RegionDenied, Reason::ConcurrencyExceeded] {
            let met = found.iter().any(|told| told.contains(&format!("{reason:?}")));
            seen.extend(met.then_some(reason.name()));
        }
        seen.extend(found.iter().any(|told| told.contains("None Some")).then_some("passes"));
    }
    assert_eq!(seen.len(), 4, "a walk that meets everything: {seen:?}");
}
