//! A site of files in a temporary directory, and how tests wait.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trunkd::call::{Initiated, Report};
use trunkd::config::{self, Config};
use trunkd::difference::Plan;
use trunkd::domain::{Actor, Stamp};
use trunkd::kamailio::preflight::Limits;
use trunkd::publish::Capacity;
use trunkd::store::sqlite::SqliteStore;
use trunkd::store::{Batch, CallRecord, Change, Committed, Store, StoreError, Terms, Write};
use uuid::Uuid;

/// A secret for every webhook of the tests.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A Kamailio that has loaded none of its tables.
pub(crate) const LIMITS: Limits =
    Limits { address: false, dispatcher: false, max_subnets: 512, pkg_mb: 8, shm_mb: 64 };

/// Directories and files of one daemon.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    /// A main file that is good, for development, and an empty directory of trunk files.
    pub(crate) fn new() -> Site {
        let site = Site { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(site.dir.path().join("trunks")).unwrap();
        site.write_main("");
        site
    }

    /// Writes the main file, with `more` lines of webhook settings. Nothing is too old for its log: calls of tests may be of
    /// 1970.
    pub(crate) fn write_main(&self, more: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "[node]\nbase_domain = \"sip.example.net\"\n[shm]\ndir = \"{dir}/shm\"\ntrunks = 1024\naccounts = 64\n\
             gateways = 64\n[state]\ndir = \"{dir}/state\"\n[api]\nlisten = \"127.0.0.1:0\"\n[files]\n\
             trunks = \"{dir}/trunks\"\n[calls]\nkeep_days = 0\n[webhooks]\ndangerous_allow_private_addresses = true\n\
             dangerous_allow_http = true\n{more}\n"
        );
        fs::write(self.main(), text).unwrap();
    }

    /// The main file.
    pub(crate) fn main(&self) -> PathBuf {
        self.dir.path().join("trunkd.toml")
    }

    /// The shared memory.
    pub(crate) fn shm(&self) -> PathBuf {
        self.dir.path().join("shm")
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("state").join(trunkd::app::DATABASE)
    }

    /// Writes a trunk file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join("trunks").join(name), text).unwrap();
    }

    /// The configuration, which must be good.
    pub(crate) fn load(&self) -> Config {
        config::load(&self.main()).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    /// A store of its own with the trunk files' configuration in it.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        let config = self.load();
        fs::create_dir_all(self.database().parent().unwrap()).unwrap();
        let store = SqliteStore::open(&self.database()).unwrap();
        let snapshot = store.snapshot().await.unwrap();
        let plan = Plan::between(&snapshot, &config.provisioned, 0);
        if !plan.is_empty() {
            commit(&store, snapshot.revision, plan.changes, config.publish.capacity).await.unwrap();
        }
        Arc::new(store)
    }
}

/// Writes changes as the files would, at a time of no importance.
pub(crate) async fn commit(
    store: &dyn Store,
    base: i64,
    changes: Vec<Change>,
    capacity: Capacity,
) -> Result<Committed, StoreError> {
    let write = Write { actor: Actor::Files, request_id: "test".into(), changes, idempotency: None };
    let kamailio = Limits { address: true, dispatcher: true, max_subnets: 100, ..LIMITS };
    store.commit(write, Terms { base, stamp: Stamp::new(5, base + 1), capacity, kamailio }).await
}

/// A trunk file of one trunk that takes calls from loopback and reports to `url`.
pub(crate) fn trunk_with_webhook(id: &str, url: &str) -> String {
    format!(
        "[[trunk]]\ntrunkId = \"{id}\"\ncpsLimit = 100\nwebhookUrl = \"{url}\"\nwebhookSecret = \"{SECRET}\"\n\
         [[trunk.ipAcls]]\nipAddress = \"127.0.0.1\"\n[[trunk.originationUris]]\nuri = \"sip:127.0.0.1:5070\"\n"
    )
}

/// Waits until `done` answers something.
pub(crate) async fn until<T>(what: &str, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = done().await {
            return value;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Copies a database as a kill at this instant would leave it.
pub(crate) fn copy_as_killed(database: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let from = PathBuf::from(format!("{}{suffix}", database.display()));
        if from.exists() {
            fs::copy(&from, format!("{}{suffix}", to.display())).unwrap();
        }
    }
}

/// A call number `index` in the shape of an id.
pub(crate) fn call_id(index: u8) -> Uuid {
    Uuid::from_bytes([index; 16])
}

/// The record of an attempt that was admitted.
pub(crate) fn initiated(call: Uuid, trunk: &str, at_ms: i64) -> CallRecord {
    let initiated = Initiated {
        account: None,
        kind: trunk_admission::Kind::Trunk,
        reason: None,
        limit: 0,
        count: 0,
        wait_ms: 0,
        generation: 1,
        source: ("127.0.0.1".parse().unwrap(), 5060),
        sip_call_id: "a@b".into(),
        from: "+15550100001".into(),
        from_host: "b".into(),
        to: "+15550100002".into(),
        request_uri: "sip:+15550100002@acme.sip.example.net".into(),
    };
    CallRecord { call, trunk: Some(trunk.into()), at_ms, report: Report::Initiated(Box::new(initiated)) }
}

/// The record of an answer.
pub(crate) fn answered(call: Uuid, trunk: &str, at_ms: i64) -> CallRecord {
    let report = Report::Answered {
        gateway: Some("sip:127.0.0.1:5070".into()),
        attempts: 1,
        ring_ms: Some(at_ms - 500),
    };
    CallRecord { call, trunk: Some(trunk.into()), at_ms, report }
}

/// A batch of a ring with id 7.
pub(crate) fn batch(last_sequence: u64, records: Vec<CallRecord>) -> Batch {
    Batch { ring_id: 7, last_sequence, records }
}
