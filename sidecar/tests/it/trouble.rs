//! The store in trouble: a full disk, a lock that another process holds, a damaged file. The write is refused with the
//! reason, nothing of it is there, what is in force stays in force, and the next write works once the trouble is over.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::Value;
use trunkd::store::sqlite::{Options, SqliteStore};
use trunkd::store::{Change, Store, StoreError};

use crate::command::{Running, api_of};
use crate::daemon::get_at;
use crate::ring::module;
use crate::support::{Site, commit, copy_as_killed, until};

/// Trunks that take some pages of the database.
fn trunks(count: usize) -> String {
    (0..count)
        .map(|index| {
            format!(
                "[[trunk]]\ntrunkId = \"t{index}\"\ndescription = \"{}\"\n[[trunk.ipAcls]]\nipAddress = \"10.0.0.{index}\"\n",
                "x".repeat(200)
            )
        })
        .collect()
}

/// A daemon that is only known by its process and its ready line.
pub(crate) struct Outside {
    pub(crate) running: Running,
    pub(crate) api: String,
}

impl Outside {
    pub(crate) fn new((running, ready): (Running, String)) -> Outside {
        Outside { running, api: api_of(&ready).to_owned() }
    }

    pub(crate) async fn state(&self) -> Value {
        serde_json::from_str(&get_at(&self.api, "/readyz").await.1).unwrap()
    }

    /// Reloads, and answers the state after it.
    async fn reload(&self) -> Value {
        let before = self.state().await["lastReload"]["at"].clone();
        self.running.signal(Signal::SIGHUP);
        until("a reload", async || {
            let state = self.state().await;
            (state["lastReload"]["at"] != before).then_some(state)
        })
        .await
    }

    /// The value of a metric.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = get_at(&self.api, "/metrics").await.1;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{name} in {text}"))
    }
}

/// What a write in trouble must look like from outside, and one after it.
async fn refused_and_then_taken(site: &Site, daemon: &Outside, reason: &str, over: impl FnOnce()) {
    let module = module(&site.shm(), 64);
    let before = (module.generation(), daemon.state().await["publishedRevision"].clone());
    site.write("a.toml", &trunks(40));
    let state = daemon.reload().await;
    assert_eq!(state["lastReload"]["result"], "refused", "{state}");
    assert_eq!(state["lastReload"]["problems"], serde_json::json!([reason]), "{state}");
    assert_eq!((&state["ready"], &state["publishedRevision"]), (&false.into(), &before.1), "{state}");
    assert!(state["reasons"][0].as_str().unwrap().contains(reason), "{state}");
    assert!(daemon.metric("trunkline_store_errors_total{task=\"configuration\"}").await > 0);
    let mut module = module;
    module.refresh();
    assert_eq!(module.generation(), before.0, "what is in force stays in force");

    over();
    until("the end of the alarm", async || {
        let state = daemon.state().await;
        (state["ready"] == true).then_some(())
    })
    .await;
    let state = daemon.reload().await;
    assert_eq!((&state["lastReload"]["result"], &state["ready"]), (&"good".into(), &true.into()), "{state}");
    assert_eq!(
        state["publishedRevision"].as_i64(),
        before.1.as_i64().map(|revision| revision + 1),
        "{state}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_refuses_the_write_and_answers_questions() {
    let site = Site::new();
    site.write("a.toml", &trunks(1));
    let daemon = Outside::new(Running::start(&site));
    let other = Connection::open(site.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let over = || other.execute_batch("ROLLBACK").unwrap();
    refused_and_then_taken(&site, &daemon, "the database is locked by another process", over).await;
}

/// How a process gets a file system of its own here. Where nobody may mount anything that is a failure, unless
/// `TRUNKLINE_NO_MOUNT=1` says that it is known: what is not tried must not look as if it were.
pub(crate) fn own_file_systems() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["unshare", "-m"], &["unshare", "-Urm"]];
    let works = |way: &&&[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let mount = format!("mount -t tmpfs none '{}'", dir.path().display());
        let tried = Command::new(way[0]).args(&way[1..]).args(["sh", "-c", &mount]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let way = WAYS.iter().find(works).copied();
    let known = std::env::var("TRUNKLINE_NO_MOUNT").is_ok_and(|value| value == "1");
    assert!(way.is_some() || known, "nobody may mount anything here: TRUNKLINE_NO_MOUNT=1 leaves it out");
    way
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_the_write_and_takes_it_once_there_is_space() {
    let Some(way) = own_file_systems() else {
        eprintln!("not tried: TRUNKLINE_NO_MOUNT");
        return;
    };
    let site = Site::new();
    site.write("a.toml", &trunks(1));
    let (daemon, disk) = on_small_disk(&site, way, 2);
    let filler = disk.join("filler");
    fill(&filler);
    let over = || fs::remove_file(&filler).unwrap();
    refused_and_then_taken(&site, &daemon, "the disk is full", over).await;
    // SQLite would follow the link to our own root, so it gets a copy.
    let copy = site.main().with_file_name("copy.sqlite");
    copy_as_killed(&disk.join(trunkd::app::DATABASE), &copy);
    assert_eq!(SqliteStore::open(&copy).unwrap().snapshot().await.unwrap().trunks.len(), 40);
}

/// A daemon whose state is on a disk of so many megabytes, which only it sees, and we through its eyes: at this path.
pub(crate) fn on_small_disk(site: &Site, way: &[&str], megabytes: u32) -> (Outside, PathBuf) {
    let state = site.database().parent().unwrap().to_owned();
    fs::create_dir(&state).unwrap();
    let script = "mount -t tmpfs -o size=$4m,mode=700 none \"$1\" && exec \"$2\" run --config \"$3\"";
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).args(["sh", "-c", script, "sh"]);
    command.arg(&state).arg(env!("CARGO_BIN_EXE_trunkd")).arg(site.main()).arg(megabytes.to_string());
    let daemon = Outside::new(Running::spawn(&mut command));
    let disk = format!("/proc/{}/root", daemon.running.id());
    (daemon, PathBuf::from(disk).join(state.strip_prefix("/").unwrap()))
}

pub(crate) fn fill(path: &Path) {
    let mut filler = File::create(path).unwrap();
    for size in [64 << 10, 1 << 10, 1] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

#[test]
fn a_file_that_is_no_database_is_named_and_what_is_in_force_stays() {
    let site = Site::new();
    site.write("a.toml", &trunks(3));
    drop(Running::start(&site));
    let mut module = module(&site.shm(), 64);
    let generation = module.generation();
    assert!(generation > 0);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", site.database().display()));
    }
    fs::write(
        site.database(),
        "nothing that SQLite has ever written, and long enough to be looked at by it".repeat(9),
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_trunkd"))
        .args(["run", "--config"])
        .arg(site.main())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("trunkline.sqlite: the database is damaged: file is not a database"), "{said}");
    module.refresh();
    assert_eq!(module.generation(), generation);
}

#[tokio::test]
async fn a_damaged_page_is_an_error_that_says_so() {
    let site = Site::new();
    site.write("a.toml", &trunks(60));
    site.store().await.close().await.unwrap();
    // The pages that hold descriptions of trunks, and not those that say which tables there are.
    let mut bytes = fs::read(site.database()).unwrap();
    let pages = bytes.chunks_mut(4_096).filter(|page| page.windows(100).any(|window| window == [b'x'; 100]));
    assert!(pages.map(|page| page.fill(0xa5)).count() > 5);
    fs::write(site.database(), bytes).unwrap();
    let store = SqliteStore::open(&site.database()).unwrap();
    let error = store.snapshot().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)) && error.is_trouble(), "{error:?}");
    let room = site.load().publish.capacity;
    let changes: Vec<_> = (0..60).map(|index| Change::RemoveTrunk(format!("t{index}"))).collect();
    let error = commit(&store, 1, changes, room).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_does_not_wait_for_whoever_writes() {
    let site = Site::new();
    site.write("a.toml", &trunks(2));
    let store = site.store().await;
    store.close().await.unwrap();
    let patient = Options { busy_timeout: Duration::from_secs(3600), ..Options::default() };
    let store = std::sync::Arc::new(SqliteStore::open_with(&site.database(), patient).unwrap());
    let other = Connection::open(site.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let room = site.load().publish.capacity;
    let writing = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move { commit(&*store, 1, vec![Change::RemoveTrunk("t0".into())], room).await }
    });
    // The write cannot end before the lock is given back, so these answer while it waits.
    assert_eq!(store.snapshot().await.unwrap().trunks.len(), 2);
    assert!(store.trunk("t0".into()).await.unwrap().is_some());
    assert!(!writing.is_finished());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(writing.await.unwrap().unwrap().revision, 2);
    assert_eq!(store.snapshot().await.unwrap().trunks.len(), 1);
}
