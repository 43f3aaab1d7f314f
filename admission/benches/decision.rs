//! The time of one decision, as a call meets it: look-up, address list, three limits, slot, gateway, event.
//!
//! Each decision is timed alone; what frees the slot and drains the ring again is outside the timed part. Asserts nothing: a
//! timed assertion is no test.

#[path = "common/call.rs"]
mod call;
#[path = "common/figures.rs"]
#[allow(dead_code, reason = "shared with other benches")]
mod figures;
#[path = "common/world.rs"]
mod world;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use call::{decide, drain};
use figures::{Sample, grouped, median, row, times};
use trunk_admission::events::Consumer;
use trunk_admission::instance::Instance;
use trunk_admission::live::SlotRef;
use trunk_admission::publish::{PublishOptions, Publisher};
use world::{host, options, source, table};

const DECISIONS: usize = 200_000;
/// Calls that are up at once.
const HELD: usize = 500;
/// Events that wait to be read at most: the daemon is never far behind. It reads them on another processor; here they are read in
/// portions that leave most of the caches to the decisions.
const WAITING: usize = 50;
const SLOTS: u32 = 16_384;
const PREFIXES: usize = 10;
const PROCESSES: usize = 8;
/// Trunks that one run calls, again and again: what is warm.
const CALLED: usize = 4_096;
/// The same with fewer, so that one sees what memory costs and what the decision itself.
const FEWER: [usize; 2] = [512, 64];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--worker") {
        return worker(Path::new(&arguments[at + 1]), arguments[at + 2].parse().expect("trunks"));
    }
    row("reading the clock twice, in each figure below", format!("{} ns", figures::clock_ns()), "-");
    let of_100_000 = rows(100_000, None);
    if figures::room_for_a_million() {
        rows(1_000_000, Some(of_100_000));
    } else {
        row("the same, 1,000,000 trunks", "not measured: wants 10 GiB of memory", "p99 2 × of 100,000");
    }
}

/// The rows of a table of so many trunks; answers the figures of the full decision.
fn rows(trunks: usize, smaller: Option<Sample>) -> Sample {
    let dir = figures::directory();
    let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).expect("publisher");
    publisher.publish(&table(trunks, PREFIXES), None).expect("publish");
    let mut instance = Instance::create(&options(dir.path(), trunks, SLOTS, SLOTS)).expect("instance");
    instance.refresh();
    let mut consumer = Consumer::attach(dir.path()).expect("consumer");
    let size = format!("{} trunks, {} prefixes", grouped(trunks as u64), grouped((trunks * PREFIXES) as u64));
    let random = Sample::of_runs(|_| measure(&mut instance, Some(&mut consumer), |n| n * 7919 % trunks));
    let Some(smaller) = smaller else {
        row(
            format!("full decision, {size}, {} of them warm", grouped(CALLED as u64)),
            random,
            "p50 400 ns, p99 1,500 ns",
        );
        for called in FEWER {
            let sample = Sample::of_runs(|_| {
                measure(&mut instance, Some(&mut consumer), |n| n % called * 7919 % trunks)
            });
            row(format!("the same, {called} of them warm"), sample, "-");
        }
        let one = Sample::of_runs(|_| measure(&mut instance, Some(&mut consumer), |_| 0));
        row("the same, all calls on one trunk", one, "-");
        let eight = median((0..figures::RUNS).map(|_| together(dir.path(), &mut consumer, trunks)).collect());
        row(
            format!("the same, {PROCESSES} processes on one trunk"),
            format!("median {} ns, {} the lone one", grouped(eight), times(eight, one.p50)),
            "median 3 × the lone one",
        );
        return random;
    };
    let measured = format!("{random}; p99 {} of 100,000", times(random.p99, smaller.p99));
    row(format!("the same, {size}"), measured, "p99 2 × of 100,000");
    random
}

/// Decides and times; drains the ring itself if it is the one that reads it.
fn measure(
    instance: &mut Instance,
    mut consumer: Option<&mut Consumer>,
    trunk: impl Fn(usize) -> usize,
) -> Sample {
    let hosts: Vec<(usize, String)> = (0..CALLED).map(trunk).map(|trunk| (trunk, host(trunk))).collect();
    let mut times = Vec::with_capacity(DECISIONS);
    let mut held: Vec<SlotRef> = Vec::with_capacity(HELD);
    // As in Kamailio, whose parser has just read the message: its bytes are near, whatever they name.
    let (mut host, mut call_id) = (String::new(), String::new());
    let process = std::process::id();
    for n in 0..DECISIONS {
        let (trunk, name) = &hosts[n % hosts.len()];
        host.clone_from(name);
        call_id.clear();
        let _ = write!(call_id, "{n}-{process}@192.0.2.77");
        let timer = Instant::now();
        let slot = decide(instance, &host, source(*trunk, 3).into(), call_id.as_bytes());
        times.push(timer.elapsed().as_nanos() as u64);
        held.push(slot);
        if held.len() == HELD {
            held.drain(..).for_each(|slot| _ = instance.end(slot, |_| {}));
        }
        if n % WAITING == 0 {
            consumer.iter_mut().for_each(|consumer| drain(consumer));
        }
    }
    held.drain(..).for_each(|slot| _ = instance.end(slot, |_| {}));
    consumer.iter_mut().for_each(|consumer| drain(consumer));
    Sample::of(times)
}

/// Processes that are all on one trunk; the median of their medians.
fn together(dir: &Path, consumer: &mut Consumer, trunks: usize) -> u64 {
    let me = std::env::current_exe().expect("own path");
    let spawn = |_| {
        let mut command = Command::new(&me);
        command.arg("--worker").arg(dir).arg(trunks.to_string()).stdout(Stdio::piped());
        command.spawn().expect("worker")
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(spawn).collect();
    while children.iter_mut().any(|child| child.try_wait().expect("worker").is_none()) {
        drain(consumer);
    }
    drain(consumer);
    let medians = children.into_iter().map(|child| {
        let output = child.wait_with_output().expect("worker's figures");
        let text = String::from_utf8(output.stdout).expect("text");
        text.trim().parse().expect("number")
    });
    let mut medians: Vec<u64> = medians.collect();
    medians.sort_unstable();
    (medians[PROCESSES / 2 - 1] + medians[PROCESSES / 2]) / 2
}

/// One of many processes: decides on the first trunk as fast as it can, and prints its median.
fn worker(dir: &Path, trunks: usize) {
    let mut instance = Instance::join(&options(dir, trunks, SLOTS, SLOTS)).expect("instance");
    instance.enter_process(std::process::id() % 16, std::process::id(), u64::from(std::process::id()));
    println!("{}", measure(&mut instance, None, |_| 0).p50);
}
