//! What the call log costs: events written down a second, the size of a call on the disk, and pages of a list among
//! millions of calls.
//!
//! Prints a table and asserts nothing: a timed assertion is no test. `TRUNKLINE_BENCH_CALLS` says how many calls (1,000,000).
//! The database lies below `TMPDIR`, which decides what a flush to the disk costs.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use trunk_admission::events::{EndCause, Party};
use trunk_admission::model::Kind;
use trunkd::call::status::Status;
use trunkd::call::{Ended, Initiated, Report};
use trunkd::store::sqlite::SqliteStore;
use trunkd::store::{Batch, CallFilter, CallPage, CallRecord, Store};
use uuid::Uuid;

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records of a batch, as the daemon writes them.
const BATCH: usize = 512;
/// Calls that are written down one by one to learn how fast that is.
const INGESTED: usize = 40_000;
/// Pages that are asked for of each kind.
const PAGES: usize = 300;
/// When the first call begins, and how far apart they are.
const BEGIN_MS: i64 = 1_790_000_000_000;
const APART_MS: i64 = 5;
const TRUNKS: u64 = 1_000;
const ACCOUNTS: u64 = 100;
const NUMBERS: u64 = 1_000_000;

fn main() -> anyhow::Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "\nthe call log, load {}\n\n| calls | what | measured | wanted |\n|---:|---|---:|---:|",
        load.trim()
    );
    let calls = std::env::var("TRUNKLINE_BENCH_CALLS").ok().and_then(|count| count.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(ingest())?;
    runtime.block_on(pages(calls.unwrap_or(1_000_000)))
}

fn row(calls: usize, what: &str, measured: &str, wanted: &str) {
    println!("| {calls} | {what} | {measured} | {wanted} |");
}

fn trunk(index: u64) -> String {
    format!("0191d2c6-8f00-7000-8000-{index:012}")
}

fn account(index: u64) -> String {
    format!("0191d2c6-8f00-7000-9000-{index:012}")
}

fn number(index: u64) -> String {
    format!("+1555{index:07}")
}

/// A call of three events, as most are.
fn records(index: usize, random: &mut StdRng) -> [CallRecord; 3] {
    let of_trunk = random.random_range(0..TRUNKS);
    let start_ms = BEGIN_MS + index as i64 * APART_MS;
    // In the order of time, as the module's ids are (RFC 9562 section 5.7).
    let call = Uuid::from_u128(u128::from(start_ms.cast_unsigned()) << 80 | 7 << 76 | index as u128);
    let gateway = Some("sip:gw-1.example.net:5060".to_owned());
    let initiated = Initiated {
        account: Some(account(of_trunk % ACCOUNTS)),
        kind: Kind::Trunk,
        reason: None,
        limit: 0,
        count: 0,
        wait_ms: 0,
        generation: 7,
        source: ("203.0.113.7".parse().unwrap_or([0; 4].into()), 5060),
        sip_call_id: format!("{:032x}@pbx.example.net", random.random::<u128>()),
        from: number(random.random_range(0..NUMBERS)),
        from_host: "pbx.example.net".into(),
        to: number(random.random_range(0..NUMBERS)),
        request_uri: format!("sip:+15550100001@{}.sip.example.net", trunk(of_trunk)),
    };
    let ended = Ended {
        sip_code: 200,
        q850: Some(16),
        no_media: false,
        by: Party::Caller,
        cause: EndCause::Bye,
        start_ms: Some(start_ms),
        ring_ms: Some(start_ms + 900),
        answer_ms: Some(start_ms + 4_000),
        end_ms: start_ms + 64_000,
        gateway: gateway.clone(),
        attempts: 1,
    };
    let answered = Report::Answered { gateway, attempts: 1, ring_ms: Some(start_ms + 900) };
    let record = |after_ms, report| CallRecord {
        call,
        trunk: Some(trunk(of_trunk)),
        at_ms: start_ms + after_ms,
        report,
    };
    [
        record(0, Report::Initiated(Box::new(initiated))),
        record(4_000, answered),
        record(64_000, Report::Ended(Box::new(ended))),
    ]
}

async fn ingest() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.sqlite");
    let store = SqliteStore::open(&path)?;
    let mut random = StdRng::seed_from_u64(1);
    let all: Vec<CallRecord> = (0..INGESTED).flat_map(|index| records(index, &mut random)).collect();
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    for (batch, some) in all.chunks(BATCH).enumerate() {
        let one = Instant::now();
        let batch = Batch { ring_id: 1, last_sequence: batch as u64, records: some.to_vec() };
        store.ingest(batch, BEGIN_MS).await?;
        slowest = slowest.max(one.elapsed());
    }
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    row(
        INGESTED,
        "events written down, each batch on the disk",
        &format!("{rate:.0} a second"),
        "5,000 at least",
    );
    row(INGESTED, "... slowest batch of 512", &milliseconds(slowest), "");
    store.close().await?;
    sizes(&path, INGESTED)
}

/// What a call takes on the disk: its row with the indexes, and its events.
fn sizes(path: &Path, calls: usize) -> anyhow::Result<()> {
    let db = rusqlite::Connection::open(path)?;
    let mut select = db.prepare("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name LIKE ?1")?;
    let mut size = |name: &str| select.query_row([name], |row| row.get::<_, i64>(0));
    let (log, index) = (size("calls")?, size("calls_%")? + size("sqlite_autoindex_calls_%")?);
    let events = size("events")? + size("sqlite_autoindex_events_%")?;
    let each = |bytes: i64| bytes / calls as i64;
    let text = format!("{} + {} + {} bytes", each(log), each(index), each(events));
    row(calls, "a call in the log + its indexes + its events", &text, "stated");
    Ok(())
}

/// Rows as the daemon would have written them, made by SQLite itself: their content is what lists look at.
fn fill(path: &Path, calls: usize) -> anyhow::Result<()> {
    let db = rusqlite::Connection::open(path)?;
    db.pragma_update(None, "synchronous", "OFF")?;
    db.pragma_update(None, "cache_size", -(1 << 20))?;
    let mut select = db.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'calls' AND sql NOT NULL",
    )?;
    let indexes = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let indexes: Vec<_> = indexes.collect::<Result<_, _>>()?;
    drop(select);
    for (name, _) in &indexes {
        db.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    let statuses = "CASE abs(random()) % 20 WHEN 0 THEN 'USER_BUSY' WHEN 1 THEN 'NO_ANSWER' WHEN 2 THEN 'SWITCH_CONGESTION'
        WHEN 3 THEN iif(abs(random()) % 1000 = 0, 'MEDIA_TIMEOUT', 'CALL_REJECTED') ELSE 'NORMAL_CLEARING' END";
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1),
              c(i, trunk, status) AS MATERIALIZED (SELECT i, abs(random()) % {TRUNKS}, {statuses} FROM n)
         INSERT INTO calls (call_id, trunk_id, account_id, kind, sip_call_id, from_user, from_host, to_user, request_uri, source_ip,
            source_port, allowed, reason, limit_value, count_value, wait_ms, generation, gateway, attempts, start_ms, ring_ms,
            answer_ms, end_ms, sip_code, q850, hangup_by, status, reconciled)
         SELECT unhex(printf('%012x', {BEGIN_MS} + i * {APART_MS}) || '7' || substr(lower(hex(randomblob(10))), 1, 19)), printf('0191d2c6-8f00-7000-8000-%012d', trunk),
            printf('0191d2c6-8f00-7000-9000-%012d', trunk % {ACCOUNTS}), 'trunk',
            lower(hex(randomblob(16))) || '@pbx.example.net', printf('+1555%07d', abs(random()) % {NUMBERS}), 'pbx.example.net',
            printf('+1555%07d', abs(random()) % {NUMBERS}), 'sip:+15550100001@sip.example.net', '203.0.113.7', 5060,
            status != 'SWITCH_CONGESTION', iif(status = 'SWITCH_CONGESTION', 'cps_exceeded', NULL), 0, 0, 0, 7,
            'sip:gw-1.example.net:5060', 1, {BEGIN_MS} + i * {APART_MS}, {BEGIN_MS} + i * {APART_MS} + 900,
            iif(status = 'NORMAL_CLEARING', {BEGIN_MS} + i * {APART_MS} + 4000, NULL), {BEGIN_MS} + i * {APART_MS} + 64000, 200, 16,
            'caller', status, 0 FROM c"
    );
    db.execute(&sql, [calls as i64])?;
    for (_, sql) in &indexes {
        db.execute_batch(sql)?;
    }
    Ok(())
}

async fn pages(calls: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.sqlite");
    SqliteStore::open(&path)?.close().await?;
    fill(&path, calls)?;
    sizes(&path, calls)?;
    let store = SqliteStore::open(&path)?;
    let span_ms = calls as i64 * APART_MS;
    let mut random = StdRng::seed_from_u64(2);
    type Make = fn(&mut StdRng, i64) -> CallFilter;
    let of_trunk: Make = |random, _| CallFilter {
        trunk: Some(trunk(random.random_range(0..TRUNKS))),
        ..CallFilter::default()
    };
    let of_account: Make = |random, _| CallFilter {
        account: Some(account(random.random_range(0..ACCOUNTS))),
        ..CallFilter::default()
    };
    let kinds: [(&str, Make); 9] = [
        ("all", |_, _| CallFilter::default()),
        ("a trunk", of_trunk),
        ("an account", of_account),
        ("an account and a rare status", |random, _| CallFilter {
            account: Some(account(random.random_range(0..ACCOUNTS))),
            status: Some(Status::MediaTimeout),
            ..CallFilter::default()
        }),
        ("from", |random, _| CallFilter {
            from: Some(number(random.random_range(0..NUMBERS))),
            ..CallFilter::default()
        }),
        ("an account, and to", |random, _| CallFilter {
            account: Some(account(random.random_range(0..ACCOUNTS))),
            to: Some(number(random.random_range(0..NUMBERS))),
            ..CallFilter::default()
        }),
        ("an account, refused", |random, _| CallFilter {
            account: Some(account(random.random_range(0..ACCOUNTS))),
            allowed: Some(false),
            ..CallFilter::default()
        }),
        ("a trunk, and a time", |random, span_ms| {
            let until_ms = BEGIN_MS + random.random_range(0..span_ms);
            let trunk = Some(trunk(random.random_range(0..TRUNKS)));
            CallFilter {
                trunk,
                since_ms: Some(until_ms - 86_400_000),
                until_ms: Some(until_ms),
                ..CallFilter::default()
            }
        }),
        ("a status, and a time", |random, span_ms| CallFilter {
            status: Some(Status::UserBusy),
            until_ms: Some(BEGIN_MS + random.random_range(0..span_ms)),
            ..CallFilter::default()
        }),
    ];
    for (name, make) in kinds {
        let (mut counted, mut next) = (Vec::new(), Vec::new());
        for _ in 0..PAGES {
            let filter = make(&mut random, span_ms);
            let one = Instant::now();
            let page = CallPage { limit: 20, count: true, ..CallPage::default() };
            let found = store.list_calls(filter.clone(), page).await?;
            counted.push(one.elapsed());
            let Some(after) = found.next else { continue };
            let one = Instant::now();
            let page = CallPage { limit: 20, after: Some(after), ..CallPage::default() };
            store.list_calls(filter, page).await?;
            next.push(one.elapsed());
        }
        row(calls, &format!("first page with total, {name}: p50 / p99"), &percentiles(counted), "p99 50 ms");
        if !next.is_empty() {
            row(calls, "... and the next page", &percentiles(next), "p99 50 ms");
        }
    }
    let begun = Instant::now();
    let filter = of_account(&mut random, span_ms);
    let (mut sums, mut after) = store.sum_calls(filter.clone(), None).await?;
    while after.is_some() {
        let (more, next) = store.sum_calls(filter.clone(), after).await?;
        sums.merge(&more);
        after = next;
    }
    let text = format!("{} for {} calls", milliseconds(begun.elapsed()), sums.attempts);
    row(calls, "the sums of an account", &text, "");
    Ok(store.close().await?)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    format!("{:.2} / {:.2} ms", at(50), at(99))
}
