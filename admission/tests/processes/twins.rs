//! Two processes judge the same INVITEs at the same instants: each call is admitted once, with one token and one slot.
//!
//! They meet before each call through words that each of them writes in its own line and the other reads: on shared
//! memory, not over a pipe, so that both judge within the same few hundred nanoseconds.

use std::hint::spin_loop;
use std::path::Path;

use trunk_admission::instance::Instance;
use trunk_admission::live::Scope;
use trunk_admission::model::Limits;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Now, Proof, Rate, Verdict};

use crate::harness::{self, Process};
use crate::tables::{SOURCE, host, options, table, trunk};

/// Calls that both judge; `TRUNK_PROOF_TWINS` asks for more.
const CALLS: u64 = 200_000;
/// Calls that one pair of processes judges.
const EACH: u32 = 50_000;
/// So many calls must be met in the act, or so many pairs must have tried.
const ENOUGH: u64 = 1_000;
const PAIRS: u32 = 40;
/// No token drains while this runs.
const SLOWEST: f64 = 0.001;

/// Pairs of processes until enough of the calls were met while the other was judging: only then it was a race. Where the
/// scheduler keeps both on one processor they never meet, so a pair is followed by another.
pub(crate) fn twins() -> String {
    let calls = harness::amount("TRUNK_PROOF_TWINS", CALLS);
    let mut sum = Met::default();
    let mut pairs = 0;
    while sum.judged < calls || (sum.met < ENOUGH && pairs < PAIRS) {
        sum.add(&pair());
        pairs += 1;
    }
    let alone = std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
    assert!(alone || sum.met > 0, "they never met while one was judging");
    format!(
        "\n    {} calls judged twice, {} admitted once, {} met in the act, {} put off by both",
        sum.judged, sum.admitted, sum.met, sum.neither
    )
}

/// How often what happened.
#[derive(Default)]
struct Met {
    judged: u64,
    admitted: u64,
    met: u64,
    neither: u64,
}

impl Met {
    fn add(&mut self, other: &Met) {
        self.judged += other.judged;
        self.admitted += other.admitted;
        self.met += other.met;
        self.neither += other.neither;
    }
}

/// Runs two processes and compares what they were told.
fn pair() -> Met {
    let dir = harness::directory();
    let rate = Rate::per_second(SLOWEST, Some(1_000_000)).unwrap();
    let limits = Limits { rate: Some(rate), concurrent: None };
    let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
    publisher.publish(&table(1, Limits::default(), vec![], vec![trunk(0, None, limits)]), None).unwrap();
    let instance = Instance::create(&options(dir.path(), 64, 1, 1, 3)).unwrap();
    let started = Now::read().mono_ns;
    let mut twins: Vec<Process> =
        (1..=2).map(|number| Process::start("twin", &[&dir.path().display(), &number], &[])).collect();
    let told: Vec<Vec<String>> = twins
        .iter_mut()
        .map(|twin| (0..EACH).map(|_| twin.hear().expect("a verdict for each call")).collect())
        .collect();
    for twin in twins {
        assert!(twin.finish().success());
    }
    let mut seen = Met { judged: u64::from(EACH), ..Met::default() };
    for (number, (one, other)) in told[0].iter().zip(&told[1]).enumerate() {
        let outcome = match (one.split_once(' '), other.split_once(' ')) {
            (Some(("admitted", uid)), Some(("again", same)))
            | (Some(("again", same)), Some(("admitted", uid))) => {
                assert_eq!(uid, same, "call {number}: the twin was told of another call");
                Met { admitted: 1, ..Met::default() }
            }
            (Some(("admitted", _)), None) | (None, Some(("admitted", _))) => {
                Met { admitted: 1, met: 1, ..Met::default() }
            }
            // Both stepped back: the INVITE comes again.
            (None, None) => Met { neither: 1, met: 1, ..Met::default() },
            _ => panic!("call {number}: {one} and {other}"),
        };
        seen.add(&outcome);
    }
    let now = Now::read().mono_ns;
    assert!(now - started < rate.interval_ns(), "too slow: a token has drained");
    let live = instance.live();
    let line = live.line_view(Scope::Trunk(0), Some(rate), now).unwrap();
    assert_eq!(u64::from(line.bucket), seen.admitted, "one token for each call");
    assert_eq!(line.admitted_total, seen.admitted);
    assert_eq!((live.slots_in_use(), line.calls, live.counters().underflows), (vec![], 0, 0));
    seen
}

/// One of the two: directory, number.
pub(crate) fn worker(arguments: &[String]) {
    let [dir, number] = arguments else { panic!("two arguments") };
    let number: u32 = number.parse().unwrap();
    let mut instance = Instance::join(&options(Path::new(dir), 64, 1, 1, 3)).unwrap();
    instance.enter_process(number, 1, u64::from(number));
    let host = host(0);
    let mut told = Vec::with_capacity(EACH as usize);
    for call in 0..EACH {
        let key = instance.call_key(&call.to_le_bytes(), b"", 1);
        let attempt = Attempt {
            host: &Host::new(host.as_bytes()),
            user: b"",
            source: SOURCE,
            secure: false,
            call: key,
        };
        let identity = instance.identify(&attempt).unwrap();
        let now = Now::read();
        meet(&mut instance, number, 2 * call + 2);
        // Whoever came last sees the other at once, the other sees it a little later: a lead for each, now and then.
        (0..(call >> number) % 64).for_each(|_| spin_loop());
        let verdict = instance.admit(&identity, &attempt, Proof::None, now);
        meet(&mut instance, number, 2 * call + 3);
        told.push(match verdict {
            Verdict::Admitted(admission) => {
                assert!(instance.end(admission.slot, |_| {}));
                format!("admitted {:032x}", u128::from_be_bytes(admission.uid))
            }
            Verdict::Again(admission) => format!("again {:032x}", u128::from_be_bytes(admission.uid)),
            Verdict::InFlight => "in-flight".to_owned(),
            other => format!("refused {other:?}"),
        });
    }
    told.iter().for_each(harness::say);
}

/// Says "I am at this step" and waits until the other is.
fn meet(instance: &mut Instance, number: u32, step: u32) {
    // The line's process id is a word of its own that nothing else uses here.
    instance.enter_process(number, step, u64::from(number) << 32 | u64::from(step));
    let other = 3 - number;
    for round in 1_u32.. {
        let there = instance.live().processes().iter().any(|line| line.index == other && line.pid >= step);
        if there {
            return;
        }
        if round % 64 == 0 { std::thread::yield_now() } else { spin_loop() }
    }
}
