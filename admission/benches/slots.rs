//! What a call costs to take and to give back while many others of its trunk are up: it must not matter how many.
//!
//! Timed is the spending alone: three limits, the slot and its counts, and all of it given back. Asserts nothing.

#[path = "common/figures.rs"]
#[allow(dead_code, reason = "shared with other benches")]
mod figures;
#[path = "common/world.rs"]
mod world;

use std::hint::black_box;
use std::time::Instant;

use figures::{Sample, grouped, row, times};
use trunk_admission::instance::Instance;
use trunk_admission::live::SlotRef;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Identity, Now, Proof, Verdict};
use world::{host, options, source, table};

const FEW: u32 = 10;
const MANY: u32 = 50_000;
const SLOTS: u32 = 65_536;
const TIMES: u32 = 200_000;

fn main() {
    let dir = figures::directory();
    let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).expect("publisher");
    publisher.publish(&table(1, 10), None).expect("publish");
    let mut instance = Instance::create(&options(dir.path(), 1, SLOTS, 16)).expect("instance");
    instance.refresh();
    let few = with_calls_up(&mut instance, FEW);
    let many = with_calls_up(&mut instance, MANY);
    row(format!("take and release, {} calls up on the trunk", grouped(FEW.into())), few, "-");
    row(
        format!("the same, {} calls up on it", grouped(MANY.into())),
        format!("{many}; p99 {} of {FEW}", times(many.p99, few.p99)),
        format!("p99 1.25 × of {FEW}"),
    );
}

/// Takes and releases while so many other calls are up.
fn with_calls_up(instance: &mut Instance, calls: u32) -> Sample {
    let host = host(0);
    let named = Host::new(host.as_bytes());
    let attempt = |instance: &Instance, number: u32, kind: u32| Attempt {
        host: &named,
        user: b"15550001111",
        source: source(0, 3).into(),
        secure: false,
        call: instance.call_key_to(&named, &number.to_le_bytes(), b"fromtag", kind),
    };
    let first = attempt(instance, 0, 0);
    let identity = instance.identify(&first).expect("known trunk");
    let up: Vec<SlotRef> = (0..calls)
        .map(|number| {
            let attempt = attempt(instance, number, 1);
            take(instance, &identity, &attempt)
        })
        .collect();
    let sample = Sample::of_runs(|run| {
        let mut times = Vec::with_capacity(TIMES as usize);
        for number in 0..TIMES {
            let attempt = attempt(instance, number, 2 + run as u32);
            let timer = Instant::now();
            let slot = take(instance, &identity, &attempt);
            black_box(instance.end(slot, |_| {}));
            times.push(timer.elapsed().as_nanos() as u64);
        }
        Sample::of(times)
    });
    up.into_iter().for_each(|slot| assert!(instance.end(slot, |_| {})));
    sample
}

fn take(instance: &mut Instance, identity: &Identity, attempt: &Attempt<'_>) -> SlotRef {
    // As in the decision's bench: no limit ever refuses.
    let now = Now::read();
    let now = Now { mono_ns: now.mono_ns * 20, ..now };
    match instance.admit(identity, attempt, Proof::None, now) {
        Verdict::Admitted(admission) => admission.slot,
        other => panic!("not admitted: {other:?}"),
    }
}
