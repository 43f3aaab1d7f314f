//! The time of one decision, as a call meets it: look-up, address list, three limits, slot, gateway, event.
//!
//! Each decision is timed alone with the monotonic clock, whose own cost is printed and not subtracted. What frees the
//! slot and drains the ring again is outside the timed part. Every figure is the median of five runs. Prints a table and
//! asserts nothing: a timed assertion is no test.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use trunk_admission::events::{BodyOut, Consumer, EventOut, InitiatedOut};
use trunk_admission::instance::{Instance, Options};
use trunk_admission::live::SlotRef;
use trunk_admission::model::*;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Now, Proof, Rate, Verdict};

const RUNS: usize = 5;
const BATCH: usize = 500;
const DECISIONS: usize = 200_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--worker") {
        return worker(Path::new(&arguments[at + 1]), arguments[at + 2].parse().expect("trunks"));
    }
    println!("one decision: look-up, address list, three limits, slot, gateway, event (nanoseconds)");
    println!("reading the clock twice costs {} ns of each figure", clock_cost());
    println!("| trunks | prefixes | processes on one trunk | p50 | p99 | decisions/s, each |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for (trunks, prefixes) in [(1_000, 10), (100_000, 10)] {
        let dir = tempfile::tempdir_in(shared_memory()).expect("a directory in shared memory");
        let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).expect("publisher");
        let started = Instant::now();
        let published = publisher.publish(&table(trunks, prefixes), None).expect("publish");
        let built = started.elapsed();
        let mut instance = Instance::create(&options(dir.path(), trunks)).expect("instance");
        instance.refresh();
        let row = |processes: usize, run: &mut dyn FnMut() -> Sample| {
            let sample = median((0..RUNS).map(|_| run()).collect());
            let total = trunks * prefixes;
            println!(
                "| {trunks} | {total} | {processes} | {} | {} | {} |",
                sample.p50, sample.p99, sample.rate
            );
        };
        let mut consumer = Consumer::attach(dir.path()).expect("consumer");
        row(1, &mut || measure(&mut instance, Some(&mut consumer), |n| n * 7919 % trunks));
        row(1, &mut || measure(&mut instance, Some(&mut consumer), |_| 0));
        row(8, &mut || together(dir.path(), &mut consumer, trunks, 8));
        let bytes = published.image_bytes / trunks;
        println!(
            "  image of {trunks} trunks: {bytes} bytes each, built and checked in {} ms",
            built.as_millis()
        );
    }
    println!("(first row of each size: trunks at random; then one trunk for all)");
}

fn shared_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn options(dir: &Path, trunks: usize) -> Options {
    let trunks = trunks as u32;
    let room = (16_384, trunks, 1_024, trunks * 2);
    Options {
        dir: dir.to_owned(),
        slots: room.0,
        trunks: room.1,
        accounts: room.2,
        gateways: room.3,
        processes: 16,
        ring_cells: 16_384,
        spill_cells: 0,
    }
}

fn source(trunk: usize, prefix: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0b00_0000 + (trunk as u32) * 16 + prefix as u32)
}

fn table(trunks: usize, prefixes: usize) -> Table {
    let rate = Some(Rate::per_second(100_000.0, Some(1_000_000)).expect("rate"));
    let limits = Limits { rate, concurrent: Some(1_000_000) };
    let accounts =
        (0..100).map(|live| Account { id: format!("account-{live}"), live, enabled: true, limits });
    let trunk = |n: usize| Trunk {
        id: format!("0190b3f2-7c11-7d30-9c3a-{n:012x}"),
        live: n as u32,
        account: Some(n as u32 % 100),
        kind: Kind::Trunk,
        inbound_user: None,
        enabled: true,
        auth: AuthMode::Any,
        limits,
        regions: None,
        sources: (0..prefixes).map(|p| ipnet::IpNet::from(IpAddr::V4(source(n, p)))).collect(),
        credentials: (0..2)
            .map(|c| Credential { username: format!("user-{c}"), ha1_md5: [c; 16], ha1_sha256: [c; 32] })
            .collect(),
        gateways: (0..2)
            .map(|g| Gateway {
                uri: format!("sip:192.0.2.{g}:5060"),
                live: (n * 2 + g) as u32,
                priority: 10,
                weight: 1,
            })
            .collect(),
        failover: FailoverCodes::default(),
        secure: false,
    };
    Table {
        revision: 1,
        region: "US".parse().expect("region"),
        base_domain: "sip.example".into(),
        inbound_host: "in.sip.example".into(),
        node: limits,
        accounts: accounts.collect(),
        trunks: (0..trunks).map(trunk).collect(),
    }
}

#[derive(Clone, Copy)]
struct Sample {
    p50: u64,
    p99: u64,
    rate: u64,
}

fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by_key(|sample| sample.p50);
    samples[samples.len() / 2]
}

fn clock_cost() -> u64 {
    let mut costs: Vec<u64> = (0..10_000)
        .map(|_| {
            let started = Instant::now();
            black_box(started.elapsed()).as_nanos() as u64
        })
        .collect();
    costs.sort_unstable();
    costs[costs.len() / 2]
}

/// Decides and times; drains the ring itself if it is the one that reads it.
fn measure(
    instance: &mut Instance,
    mut consumer: Option<&mut Consumer>,
    trunk: impl Fn(usize) -> usize,
) -> Sample {
    let hosts: Vec<(usize, String)> = (0..4096)
        .map(|n| {
            let trunk = trunk(n);
            (trunk, format!("0190b3f2-7c11-7d30-9c3a-{trunk:012x}.sip.example"))
        })
        .collect();
    let mut times = Vec::with_capacity(DECISIONS);
    let mut held: Vec<SlotRef> = Vec::with_capacity(BATCH);
    let started = Instant::now();
    for n in 0..DECISIONS {
        let (trunk, host) = &hosts[n % hosts.len()];
        let call_id = format!("{n}-{}@192.0.2.77", std::process::id());
        let timer = Instant::now();
        let slot = decide(instance, host, source(*trunk, 3).into(), call_id.as_bytes());
        times.push(timer.elapsed().as_nanos() as u64);
        held.push(slot);
        if held.len() == BATCH {
            held.drain(..).for_each(|slot| _ = instance.end(slot, |_| {}));
            consumer.iter_mut().for_each(|consumer| drain(consumer));
        }
    }
    let rate = (DECISIONS as f64 / started.elapsed().as_secs_f64()) as u64;
    held.drain(..).for_each(|slot| _ = instance.end(slot, |_| {}));
    consumer.iter_mut().for_each(|consumer| drain(consumer));
    times.sort_unstable();
    Sample { p50: times[DECISIONS / 2], p99: times[DECISIONS * 99 / 100], rate }
}

/// Everything between an INVITE and its relay.
fn decide(instance: &mut Instance, host: &str, source: IpAddr, call_id: &[u8]) -> SlotRef {
    instance.refresh();
    let call = instance.call_key(call_id, b"fromtag", 1);
    let attempt = Attempt { host: host.as_bytes(), user: b"15550001111", source, secure: false, call };
    let identity = instance.identify(&attempt).expect("known trunk");
    // Time runs twenty times as fast for the limits: each is checked on every call, and none ever refuses one.
    let now = Now::read();
    let now = Now { mono_ns: now.mono_ns * 20, ..now };
    let verdict = instance.admit(&identity, &attempt, Proof::None, now);
    let Verdict::Admitted(admission) = verdict else {
        panic!("not admitted: {verdict:?}");
    };
    black_box(instance.route(&identity, admission.slot)).expect("gateway");
    let names = instance.names(&identity);
    let initiated = InitiatedOut {
        account: names.account.as_bytes(),
        kind: identity.trunk.kind(),
        reason: None,
        limit: 0,
        count: 0,
        wait_ms: 0,
        generation: u64::from(instance.generation()),
        source,
        source_port: 5060,
        sip_call_id: call_id,
        from_user: b"15550002222",
        from_host: b"pbx.example.com",
        to_user: attempt.user,
        request_uri: host.as_bytes(),
    };
    let body = BodyOut::Initiated(initiated);
    instance.push(&EventOut {
        call: admission.uid,
        wall_ms: now.wall_ms,
        trunk: names.trunk.as_bytes(),
        body,
    });
    admission.slot
}

fn drain(consumer: &mut Consumer) {
    let records = consumer.poll(usize::MAX);
    consumer.acknowledge(&records);
}

/// As many processes as asked for, all on one trunk; their median.
fn together(dir: &Path, consumer: &mut Consumer, trunks: usize, processes: usize) -> Sample {
    let me = std::env::current_exe().expect("own path");
    let spawn = |_| {
        let mut command = Command::new(&me);
        command.arg("--worker").arg(dir).arg(trunks.to_string()).stdout(Stdio::piped());
        command.spawn().expect("worker")
    };
    let mut children: Vec<_> = (0..processes).map(spawn).collect();
    while children.iter_mut().any(|child| child.try_wait().expect("worker").is_none()) {
        drain(consumer);
    }
    drain(consumer);
    let samples = children.into_iter().map(|child| {
        let output = child.wait_with_output().expect("worker's figures");
        let text = String::from_utf8(output.stdout).expect("text");
        let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().expect("number")).collect();
        Sample { p50: numbers[0], p99: numbers[1], rate: numbers[2] }
    });
    median(samples.collect())
}

/// One of many processes: decides on the first trunk as fast as it can, and prints its figures.
fn worker(dir: &Path, trunks: usize) {
    let mut instance = Instance::join(&options(dir, trunks)).expect("instance");
    instance.enter_process(std::process::id() % 16, std::process::id(), u64::from(std::process::id()));
    let sample = measure(&mut instance, None, |_| 0);
    println!("{} {} {}", sample.p50, sample.p99, sample.rate);
}
