//! What a change costs from the writer's side: an import in batches, single writes among many trunks until they are in
//! force, a start, a page of a list, and the memory of it all.
//!
//! Prints a table and asserts nothing: a timed assertion is no test. The database lies below `TMPDIR`, which decides what
//! a flush to the disk costs; the shared memory below `/dev/shm`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use trunk_admission::model::{AuthMode, Kind};
use trunkd::change::{self, Publishing, Write, Writer};
use trunkd::clock::SystemClock;
use trunkd::domain::{
    Account, Actor, Credential, IpAcl, Limits, ManagedBy, Node, OriginationUri, Stamp, Transport, Trunk,
};
use trunkd::kamailio::preflight;
use trunkd::metrics::Metrics;
use trunkd::publish::{Capacity, Handle, Settings};
use trunkd::secret::ha1;
use trunkd::status::Status;
use trunkd::store::sqlite::SqliteStore;
use trunkd::store::{Change, Page, Store, TrunkFilter};
use uuid::Uuid;

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROOM: Capacity = Capacity { trunks: 131_072, accounts: 65_536, gateways: 262_144 };
const KAMAILIO: preflight::Limits =
    preflight::Limits { address: false, dispatcher: false, max_subnets: 512, pkg_mb: 8, shm_mb: 64 };
/// Longest wait for a revision to be in force.
const PATIENCE: Duration = Duration::from_secs(120);
const SINGLE_WRITES: usize = 200;

fn main() -> anyhow::Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("writing, load {}\n\n| trunks | what | measured | wanted |\n|---:|---|---:|---:|", load.trim());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let trunks = std::env::var("TRUNKLINE_BENCH_TRUNKS").ok().and_then(|count| count.parse().ok());
    for batch in [1_000, 5_000] {
        runtime.block_on(run(trunks.unwrap_or(100_000), batch))?;
    }
    Ok(())
}

/// A store, a writer and what publishes for it.
struct Site {
    store: Arc<dyn Store>,
    writer: Writer,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Site {
    async fn start(state: &std::path::Path, shm: &std::path::Path) -> anyhow::Result<Site> {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&state.join("bench.sqlite"))?);
        store.check_kamailio(ROOM).await?;
        let (clock, status) = (Arc::new(SystemClock), Arc::new(Status::default()));
        let settings = Settings { dir: shm.to_owned(), group: None, capacity: ROOM };
        let publish = Handle::start(settings, clock.clone(), Arc::clone(&status))?;
        let (writer, mut publishing): (Writer, Publishing) = change::new(change::Deps {
            store: Arc::clone(&store),
            publish,
            capacity: ROOM,
            kamailio: KAMAILIO,
            clock,
            metrics: Metrics::new()?,
            status,
        });
        let session = writer.begin().await?;
        if session.base() == 0 {
            session.commit(write(vec![Change::PutNode(node()?), Change::PutAccount(account())])).await?;
        } else {
            drop(session);
        }
        publishing.start().await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(publishing.run(stop.clone()));
        Ok(Site { store, writer, stop, task })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?;
        drop(self.writer);
        Ok(self.store.close().await?)
    }
}

async fn run(trunks: usize, batch: usize) -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let shm = tempfile::tempdir_in("/dev/shm")?;
    let row = |what: &str, measured: String, wanted: &str| {
        println!("| {trunks} | {what} | {measured} | {wanted} |");
    };
    let site = Site::start(state.path(), shm.path()).await?;

    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut newest = 0;
    for first in (0..trunks).step_by(batch) {
        let changes =
            (first..trunks.min(first + batch)).map(|index| Change::PutTrunk(Box::new(trunk(index))));
        let one = Instant::now();
        newest = site.writer.begin().await?.commit(write(changes.collect())).await?.revision;
        slowest = slowest.max(one.elapsed());
    }
    let stored = begun.elapsed();
    site.writer.applied(newest, PATIENCE).await?;
    row(&format!("import, {batch} a write: stored"), seconds(stored), "60 s");
    row("... and in force", seconds(begun.elapsed()), "60 s");
    row("... slowest write", seconds(slowest), "");

    let (mut commits, mut applied) = (Vec::new(), Vec::new());
    for index in 0..SINGLE_WRITES {
        let one = Instant::now();
        let session = site.writer.begin().await?;
        let id = trunk_id(index * (trunks / SINGLE_WRITES).max(1) % trunks);
        let mut changed = session.trunk(&id).await?.map(|placed| placed.item).unwrap_or_else(|| trunk(index));
        changed.limits.concurrent_calls = Some(index as u32);
        let revision = session.commit(write(vec![Change::PutTrunk(Box::new(changed))])).await?.revision;
        commits.push(one.elapsed());
        site.writer.applied(revision, PATIENCE).await?;
        applied.push(one.elapsed());
    }
    row("one changed trunk: stored, p50 / p99", percentiles(commits), "");
    row("... and in force, p50 / p99", percentiles(applied), "p99 100 ms");

    let mut pages = Vec::new();
    for index in 0..50 {
        let one = Instant::now();
        let page = Page { limit: 20, offset: (index * trunks / 50) as u64 };
        let filter = TrunkFilter { kind: Some(Kind::Trunk), ..TrunkFilter::default() };
        site.store.list_trunks(filter, page).await?;
        pages.push(one.elapsed());
    }
    row("a page of 20, anywhere in the list, p50 / p99", percentiles(pages), "");
    row("memory, now / most", memory(), "");
    site.stop().await?;
    let size = std::fs::metadata(state.path().join("bench.sqlite"))?.len();
    row("database", format!("{} MiB, {} bytes a trunk", size >> 20, size / trunks as u64), "");

    let begun = Instant::now();
    let site = Site::start(state.path(), shm.path()).await?;
    row("start until in force", seconds(begun.elapsed()), "");
    row("memory, now / most", memory(), "");
    site.stop().await
}

fn write(changes: Vec<Change>) -> Write {
    Write { actor: Actor::Daemon, request_id: "bench".into(), changes, idempotency: None }
}

fn node() -> anyhow::Result<Node> {
    Ok(Node {
        name: "bench".into(),
        region: "US".parse()?,
        base_domain: "sip.example.net".into(),
        inbound_host: "in.sip.example.net".into(),
        limits: Limits::default(),
    })
}

fn account() -> Account {
    Account {
        id: "acme".into(),
        name: "Acme".into(),
        enabled: true,
        limits: Limits::default(),
        managed_by: ManagedBy::Api,
        stamp: Stamp::default(),
    }
}

fn trunk_id(index: usize) -> String {
    format!("0191d2c6-8f00-7000-8000-{index:012}")
}

/// Two credentials, two addresses, two gateways.
fn trunk(index: usize) -> Trunk {
    let (id, stamp) = (Uuid::nil(), Stamp::default());
    let (high, low) = (index >> 8 & 0xff, index & 0xff);
    let third = index >> 16;
    let acl = |first: usize| IpAcl {
        id,
        network: std::net::IpAddr::from([first as u8, third as u8, high as u8, low as u8]).into(),
        enabled: true,
        description: String::new(),
        stamp,
    };
    let credential = |name: &str| {
        let (ha1_md5, ha1_sha256) = ha1(name, "sip.example.net", "a password of some length");
        let (username, description) = (name.to_owned(), String::new());
        Credential { id, username, ha1_md5, ha1_sha256, enabled: true, description, stamp }
    };
    let gateway = |number: usize| OriginationUri {
        id,
        uri: format!("sip:gw{number}-{index}.example.net:5060"),
        priority: number as u16,
        weight: 1,
        enabled: true,
        description: String::new(),
        stamp,
    };
    Trunk {
        id: trunk_id(index),
        account: Some("acme".into()),
        kind: Kind::Trunk,
        name: format!("Trunk {index}"),
        description: String::new(),
        enabled: true,
        auth_mode: AuthMode::Any,
        limits: Limits { cps: Some(2.0), cps_burst: None, concurrent_calls: Some(10) },
        allowed_regions: None,
        transport: Transport::Udp,
        secure: false,
        failover_codes: None,
        inbound_user: None,
        password_auth: false,
        ip_acls: vec![acl(45), acl(46)],
        credentials: vec![credential("pbx-1"), credential("pbx-2")],
        origination_uris: vec![gateway(1), gateway(2)],
        webhook: None,
        managed_by: ManagedBy::Api,
        stamp,
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    format!("{:.1} / {:.1} ms", at(50), at(99))
}

/// Resident memory of this process.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    format!("{} / {} MiB", field("VmRSS:"), field("VmHWM:"))
}
