//! The SQLite store: the suite that every store passes, and what is its own.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use trunkd::call::status::Status;
use trunkd::difference::Plan;
use trunkd::store::Store;
use trunkd::store::sqlite::SqliteStore;

use crate::daemon::start;
use crate::suite::{self, Place};
use crate::support::{SECRET, Site, commit};

/// A directory with one database.
struct Directory(TempDir);

impl Directory {
    fn new() -> Directory {
        Directory(tempfile::tempdir().unwrap())
    }
}

impl Place for Directory {
    fn open(&self) -> Pin<Box<dyn Future<Output = Arc<dyn Store>> + Send + '_>> {
        Box::pin(async {
            let store = SqliteStore::open(&self.0.path().join("store.sqlite")).unwrap();
            Arc::new(store) as Arc<dyn Store>
        })
    }
}

suite::suite!(Directory::new());

fn full_file() -> String {
    format!(
        r#"
        [[account]]
        accountId = "acme"
        cpsLimit = 2.5
        [[trunk]]
        trunkId = "b"
        accountId = "acme"
        authMode = "all"
        cpsLimit = 0.5
        cpsBurst = 3
        allowedRegions = []
        failoverCodes = [408, 503]
        transport = "tcp"
        secure = true
        webhookUrl = "https://hooks.example.com/x"
        webhookMethod = "GET"
        webhookSecret = "{SECRET}"
        [[trunk.ipAcls]]
        ipAddress = "2001:db8::/32"
        enabled = false
        [[trunk.ipAcls]]
        ipAddress = "192.0.2.1"
        [[trunk.credentials]]
        username = "bob"
        password = "correct horse battery"
        description = "desk"
        [[trunk.originationUris]]
        uri = "sip:two.example.net"
        priority = 2
        [[trunk.originationUris]]
        uri = "sip:one.example.net;transport=tls"
        priority = 1
        weight = 7
        [[trunk]]
        trunkId = "a"
        allowedRegions = ["US", "DE"]
        "#
    )
}

#[tokio::test]
async fn what_files_say_is_stored_once_and_differs_in_what_they_change() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let store = site.store().await;
    let snapshot = store.snapshot().await.unwrap();
    let mut wanted = site.load().provisioned;
    assert!(Plan::between(&snapshot, &wanted, 0).is_empty(), "{snapshot:#?}");

    wanted.trunks.remove(1);
    wanted.trunks[0].enabled = false;
    let plan = Plan::between(&snapshot, &wanted, 0);
    let lines: Vec<_> = plan.lines.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["removed trunk b", "changed trunk a: enabled"]);
    assert_eq!(plan.touched().len(), 2);
    let room = site.load().publish.capacity;
    let done = commit(&*store, snapshot.revision, plan.changes, room).await.unwrap();
    assert_eq!(done.lines, plan.lines, "what was planned is what was done");
}

/// A webhook's secret and the one that signs beside it.
async fn secrets(store: &dyn Store) -> (String, Option<(String, i64)>) {
    let webhook = store.trunk("b".into()).await.unwrap().unwrap().item.webhook.unwrap();
    let old = webhook.old_secret.map(|old| (old.secret.reveal().to_owned(), old.until_ms));
    (webhook.secret.reveal().to_owned(), old)
}

#[tokio::test]
async fn a_secret_that_another_takes_the_place_of_in_a_file_signs_for_a_day_more() {
    const DAY_MS: i64 = 24 * 3_600_000;
    const OTHER: &str = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcjEy";
    let site = Site::new();
    site.write("a.toml", &full_file());
    let store = site.store().await;
    assert_eq!(secrets(&*store).await, (SECRET.into(), None));

    site.write("a.toml", &full_file().replace(SECRET, OTHER));
    let config = site.load();
    let snapshot = store.snapshot().await.unwrap();
    let plan = Plan::between(&snapshot, &config.provisioned, 1_000);
    assert_eq!(plan.lines.iter().map(ToString::to_string).collect::<Vec<_>>(), ["changed trunk b: webhook"]);
    commit(&*store, snapshot.revision, plan.changes, config.publish.capacity).await.unwrap();
    let after = (OTHER.to_owned(), Some((SECRET.to_owned(), 1_000 + DAY_MS)));
    assert_eq!(secrets(&*store).await, after);

    // A reload that changes something else leaves both, and one that changes nothing is none.
    site.write("a.toml", &full_file().replace(SECRET, OTHER).replace("cpsLimit = 0.5", "cpsLimit = 0.6"));
    let snapshot = store.snapshot().await.unwrap();
    assert!(Plan::between(&snapshot, &config.provisioned, 2_000).is_empty());
    let plan = Plan::between(&snapshot, &site.load().provisioned, 2_000);
    assert!(!plan.is_empty());
    commit(&*store, snapshot.revision, plan.changes, config.publish.capacity).await.unwrap();
    assert_eq!(secrets(&*store).await, after);
}

#[tokio::test]
async fn no_password_is_in_the_database() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let store = site.store().await;
    store.close().await.unwrap();
    let bytes = std::fs::read(site.database()).unwrap();
    assert!(bytes.windows(11).any(|window| window == b"hooks.examp"), "everything is in the file itself");
    assert!(!bytes.windows(12).any(|window| window == b"correct hors"));
}

/// Modes and owning group of the database, the files beside it and its directory.
fn modes(site: &Site) -> Vec<(u32, u32)> {
    let database = site.database();
    let beside = |suffix: &str| format!("{}{suffix}", database.display()).into();
    let files: [PathBuf; 4] =
        [database.parent().unwrap().to_owned(), database.clone(), beside("-wal"), beside("-shm")];
    let meta = files.map(|file| std::fs::metadata(&file).unwrap_or_else(|error| panic!("{file:?}: {error}")));
    meta.iter().map(|meta| (meta.mode() & 0o7777, meta.gid())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_named_group_may_read_the_database_and_may_do_so_while_trunkd_is_away() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let daemon = start(&site).await;
    let own = modes(&site);
    assert_eq!(own.iter().map(|(mode, _)| *mode).collect::<Vec<_>>(), [0o700, 0o600, 0o600, 0o600]);
    daemon.stop().await.unwrap();

    // A group that we are in: another than our first, if there is one.
    let groups = nix::unistd::getgroups().unwrap();
    let gid =
        groups.iter().copied().find(|gid| *gid != nix::unistd::getegid()).unwrap_or(nix::unistd::getegid());
    let name = nix::unistd::Group::from_gid(gid).unwrap().unwrap().name;
    let main = std::fs::read_to_string(site.main()).unwrap();
    std::fs::write(site.main(), main.replace("[state]\n", &format!("[state]\ngroup = \"{name}\"\n")))
        .unwrap();
    let daemon = start(&site).await;
    let gid = gid.as_raw();
    let shared = [(0o2750, gid), (0o640, gid), (0o640, gid), (0o640, gid)];
    assert_eq!(modes(&site), shared);
    daemon.stop().await.unwrap();

    // The log and its index are still there: without them, who may not write could not read.
    assert_eq!(modes(&site), shared);
    let reader = Connection::open_with_flags(site.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count = |reader: &Connection| {
        reader.query_row("SELECT count(*) FROM trunks", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(count(&reader), 2);
    drop(reader);
    assert_eq!(modes(&site), shared, "and a reader that goes does not take them along");
}

/// A database of the first step, as an earlier trunkd left it.
#[tokio::test]
async fn what_an_earlier_version_stored_is_carried_over() {
    let site = Site::new();
    site.write("a.toml", &full_file());
    let path = site.database();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../../../schema/sqlite/0001_initial.sql")).unwrap();
    old.execute_batch(&format!(
        "PRAGMA user_version = 1;
         INSERT INTO config_revisions VALUES (7, 70, 'file', 'added trunk b');
         INSERT INTO node VALUES (1, 'edge-1', 'US', 'sip.example.net', 'in.sip.example.net', NULL, NULL, NULL);
         INSERT INTO accounts VALUES ('acme', 'acme', 1, 2.5, NULL, NULL, 'file', 10, 20);
         INSERT INTO trunks VALUES ('b', 'acme', 'trunk', 'b', '', 1, 'all', 0.5, 3, 10, '', 1, '408 503', 'file', 30, 40);
         INSERT INTO ip_acls VALUES ('b', '192.0.2.1/32', 1, ''), ('b', '2001:db8::/32', 0, '');
         INSERT INTO credentials VALUES ('b', 'bob', zeroblob(16), zeroblob(32), 1);
         INSERT INTO origination_uris VALUES ('b', 'sip:two.example.net', 2, 1, 1, '');
         INSERT INTO live_indexes VALUES ('account', 'acme', 0, NULL), ('trunk', 'b', 3, NULL), ('trunk', 'z', 1, 25),
            ('gateway', 'b/sip:two.example.net', 5, NULL);
         INSERT INTO endpoints VALUES (4, 'b', 'https://hooks.example.com/x', '{SECRET}', 'enabled', '', 50);
         INSERT INTO calls (call_id, trunk_id, kind, allowed, limit_value, count_value, wait_ms, generation, attempts, start_ms,
            status, reconciled) VALUES (zeroblob(16), 'b', 'trunk', 1, 0, 0, 0, 1, 1, 55, 'USER_BUSY', 0);
         INSERT INTO events VALUES (1, 'evt_1', x'00', 0, 'call.initiated', 'b', 'acme', 60, '{{}}');
         INSERT INTO deliveries VALUES (1, 1, 4, x'00', 0, 'pending', 0, 60, NULL);"
    ))
    .unwrap();
    drop(old);

    let store = SqliteStore::open(&path).unwrap();
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(
        (snapshot.revision, snapshot.trunks.len(), snapshot.accounts[0].item.stamp.created_ms),
        (7, 1, 10)
    );
    let b = &snapshot.trunks[0];
    assert_eq!((b.live, b.account, &b.gateways[..]), (3, Some(0), &[5][..]));
    assert_eq!((b.item.stamp.created_ms, b.item.stamp.updated_ms), (30, 40));
    let ids: Vec<_> = b.item.ip_acls.iter().map(|acl| acl.id).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.get_version_num() == 7), "{ids:?}");
    assert_eq!(store.backlog().await.unwrap().pending, 1, "what is owed stays owed");
    let call = store.call(uuid::Uuid::nil()).await.unwrap().expect("the call log is carried over");
    assert_eq!((call.trunk.as_deref(), call.start_ms, call.status), (Some("b"), 55, Some(Status::UserBusy)));
    let room = site.load().publish.capacity;
    assert!(store.check_kamailio(room).await.unwrap(), "there were no tables yet");
    assert!(!store.check_kamailio(room).await.unwrap());
    let load = store.kamailio().await.unwrap().load;
    assert_eq!(
        (load.hosts.rows, load.names.rows, load.destinations.rows),
        (0, 1, 0),
        "US is not in an empty list"
    );

    // What the files say of it now, apart from what they could not say before, is the same trunk.
    let plan = Plan::between(&snapshot, &site.load().provisioned, 0);
    let lines: Vec<_> = plan.lines.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["added trunk a", "changed trunk b: transport, credentials, originationUris, webhook"]);
    commit(&store, 7, plan.changes, room).await.unwrap();
    let after = store.trunk("b".into()).await.unwrap().unwrap();
    assert_eq!((after.live, after.item.ip_acls.iter().map(|acl| acl.id).collect()), (3, ids));
}
