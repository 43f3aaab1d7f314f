//! System calls and uses of the heap of many decisions, counted and not timed.
//!
//! A process of its own decides twice as often as another; what the one called more often than the other, the decisions
//! called. Needs `strace`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use trunk_admission::instance::Instance;
use trunk_admission::publish::{PublishOptions, Publisher};

use super::call::decide;
use super::figures::directory;
use super::world::{host, options, source, table};

/// Decisions of the shorter process; there is room for all of the longer one's calls and events.
pub(crate) const DECISIONS: usize = 20_000;
/// The argument that makes a binary one of these processes: directory, decisions.
pub(crate) const ROLE: &str = "--decide";
const TRUNKS: usize = 1_000;
/// The one that is called.
const TRUNK: usize = 7;
const ROOM: u32 = 65_536;
/// Calls of it go through the vDSO wherever the machine's clock can be read there.
const CLOCK: &str = "clock_gettime";

/// Locks that were waited for or handed over, and all other system calls, for [`DECISIONS`] decisions.
pub(crate) struct Calls {
    pub(crate) locks: i64,
    pub(crate) others: BTreeMap<String, i64>,
}

/// Counts the system calls that decisions make in a process of this binary.
pub(crate) fn system_calls() -> Calls {
    let [short, long] = [DECISIONS, 2 * DECISIONS].map(trace);
    let mut more: BTreeMap<String, i64> = BTreeMap::new();
    for (calls, sign) in [(long, 1), (short, -1)] {
        calls.into_iter().for_each(|(name, count)| *more.entry(name).or_default() += sign * count);
    }
    more.retain(|name, count| *count != 0 && name != CLOCK);
    let locks = more.remove("futex").unwrap_or(0);
    Calls { locks, others: more }
}

/// Runs a process and answers how often it made which system call.
fn trace(decisions: usize) -> BTreeMap<String, i64> {
    let dir = directory();
    prepare(dir.path());
    let summary = dir.path().join("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&summary);
    command.arg(std::env::current_exe().expect("own path"));
    command.arg(ROLE).arg(dir.path()).arg(decisions.to_string());
    let status = command.stdin(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("strace: {error}: run `make deps`"));
    assert!(status.success(), "the traced process: {status}");
    let text = std::fs::read_to_string(&summary).expect("strace's summary");
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let count = words.next()?.parse().ok()?;
        Some((words.next()?.to_owned(), count))
    });
    let calls: BTreeMap<String, i64> = lines.filter(|(name, _)| name != "total").collect();
    assert!(calls.contains_key("mmap"), "strace counted nothing: {text}");
    calls
}

/// Uses of the heap in [`DECISIONS`] decisions of this process, from the second one on: what is set up once is no
/// decision's.
pub(crate) fn uses_of_the_heap() -> u64 {
    let dir = directory();
    prepare(dir.path());
    let mut instance = join(dir.path());
    let host = host(TRUNK);
    decide_all(&mut instance, &host, 0..1);
    let counted = allocation_counter::measure(|| decide_all(&mut instance, &host, 1..DECISIONS));
    counted.count_total
}

/// In a process of its own.
pub(crate) fn role(dir: &Path, count: usize) {
    decide_all(&mut join(dir), &host(TRUNK), 0..count);
}

fn prepare(dir: &Path) {
    let mut publisher = Publisher::open(dir, PublishOptions::default()).expect("publisher");
    publisher.publish(&table(TRUNKS, 10), None).expect("publish");
    drop(Instance::create(&options(dir, TRUNKS, ROOM, ROOM)).expect("instance"));
}

fn join(dir: &Path) -> Instance {
    let mut instance = Instance::join(&options(dir, TRUNKS, ROOM, ROOM)).expect("instance");
    instance.enter_process(1, std::process::id(), 1);
    instance
}

fn decide_all(instance: &mut Instance, host: &str, numbers: std::ops::Range<usize>) {
    for number in numbers {
        decide(instance, host, source(TRUNK, 3).into(), &number.to_le_bytes());
    }
}
