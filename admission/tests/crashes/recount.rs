//! Recounts: killed in the middle, and while processes hammer the node and others die at every step of a call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use trunk_admission::instance::{Instance, Options};
use trunk_admission::live::{Count, Live, SlotState};
use trunk_admission::model::Limits;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Now, Proof, SlotRef, Verdict};

use crate::callers::{in_peace, read_log};
use crate::deaths::{at_every_hit, live};
use crate::harness::{self, Process};
use crate::tables::{self, SOURCE, account, host, table, trunk};
use crate::windows::{Call, most_at_once};

/// Calls at once that the node allows; fewer than the callers hold together.
const AT_ONCE: u32 = 12;
const CALLERS: u32 = 4;
/// The trunk of the callers, and the one of those who die.
pub(crate) const HEALTHY: u32 = 0;
pub(crate) const MORTAL: u32 = 1;
/// Looks at all slots that a recount may take.
const ROUNDS: u32 = 100;
/// What whoever dies does in one life, and how often it can come to it.
const STEPS: &[(&str, u64)] = &[
    ("slot.claimed", 1),
    ("slot.keyed", 2),
    ("slot.filled", 12),
    ("admit.counted", 4),
    ("admit.taken", 1),
    ("admit.published", 1),
    ("call.answered", 1),
    ("end.claimed", 1),
    ("end.reported", 1),
    ("call.uncounted", 4),
];
/// How often all steps are died at.
const LIVES: usize = 3;

pub(crate) fn options(dir: &Path) -> Options {
    tables::options(dir, 1_024, 2, 2, 8)
}

fn publish(dir: &Path) {
    let ample = tables::limits(100_000.0, 1_000_000, 100);
    let node = Limits { concurrent: Some(AT_ONCE), ..ample };
    let both = [HEALTHY, MORTAL];
    let accounts = both.map(|live| account(live, ample)).to_vec();
    let trunks = both.map(|live| trunk(live, Some(live), ample)).to_vec();
    let mut publisher = Publisher::open(dir, PublishOptions::default()).unwrap();
    publisher.publish(&table(1, node, accounts, trunks), None).unwrap();
}

fn start(dir: &Path) -> Instance {
    publish(dir);
    let mut instance = Instance::create(&options(dir)).unwrap();
    instance.enter_process(1, std::process::id(), 1);
    instance.refresh();
    instance.mark_restored();
    instance
}

pub(crate) fn judge(instance: &mut Instance, trunk: u32, call: u64, number: u32) -> Verdict {
    let host = host(trunk);
    let key = instance.call_key(&call.to_le_bytes(), &number.to_le_bytes(), 1);
    let attempt =
        Attempt { host: &Host::new(host.as_bytes()), user: b"", source: SOURCE, secure: false, call: key };
    let identity = instance.identify(&attempt).unwrap();
    instance.admit(&identity, &attempt, Proof::None, Now::read())
}

/// A worker panics while it tells a call's ending.
fn break_off_the_end(instance: &Instance, slot: SlotRef) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let end = || instance.end(slot, |_| panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(end)).is_err());
    std::panic::set_hook(hook);
}

/// What trunkd does with what the mortal left, while nobody else judges a call.
fn take_back(live: &Live) {
    for view in live.slots_in_use() {
        match view.state {
            SlotState::Taking => assert!(live.give_up(view.slot)),
            SlotState::Reclaiming => live.finish_reclaim(live.begin_reclaim(view.slot).unwrap()),
            _ if view.trunk_live == MORTAL => {
                if let Some(reclaimed) = live.begin_reclaim_lost(view.slot, live.epoch()) {
                    live.finish_reclaim(reclaimed);
                }
            }
            _ => {}
        }
    }
}

/// A daemon dies while it takes back and recounts; the next one leaves everything right.
pub(crate) fn recount_deaths() -> String {
    let mut died = 0;
    for point in ["reclaim.uncountable", "reclaim.marked", "reclaim.freed", "recount.corrected"] {
        died += at_every_hit(point, |hit| {
            let dir = harness::directory();
            let mut instance = start(dir.path());
            for call in 0..3 {
                let Verdict::Admitted(call) = judge(&mut instance, MORTAL, call, 1) else { panic!() };
                break_off_the_end(&instance, call.slot);
            }
            let Verdict::Admitted(up) = judge(&mut instance, HEALTHY, 9, 1) else { panic!() };
            let died = live("recounter", &[&dir.path().display()], point, hit).died;
            take_back(instance.live());
            instance.live().recount(ROUNDS);
            let recount = instance.live().recount(ROUNDS);
            assert_eq!((recount.drift(), recount.unsettled), (0, 0), "{point}:{hit}");
            assert_eq!(instance.live().node_calls(), 1, "{point}:{hit}");
            assert_eq!((instance.live().trunk_calls(HEALTHY), instance.live().trunk_calls(MORTAL)), (1, 0));
            assert!(instance.end(up.slot, |_| {}));
            died
        });
    }
    format!("{died} deaths")
}

/// Takes back what the mortal left, and recounts: directory.
pub(crate) fn recounter(arguments: &[String]) {
    let [dir] = arguments else { panic!("one argument") };
    let live = Live::attach(Path::new(dir)).unwrap();
    take_back(&live);
    live.recount(ROUNDS);
}

/// Recounts under fire: never a correction that is not due, never a call too many, no drift at the end.
pub(crate) fn under_fire() -> String {
    let dir = harness::directory();
    let instance = start(dir.path());
    let mut callers: Vec<Process> = (2..2 + CALLERS)
        .map(|number| Process::start("caller", &[&dir.path().display(), &number], &[]))
        .collect();
    for caller in &mut callers {
        assert_eq!(caller.hear().as_deref(), Some("ready"));
    }
    let (mut died, mut corrected, mut recounts) = (0, 0, 0);
    let steps = STEPS.iter().cycle().take(LIVES * STEPS.len());
    for &(point, hits) in steps {
        for hit in 1..=hits {
            died += u32::from(live("mortal", &[&dir.path().display()], point, hit).died);
            // A slot in judgement does not say whose it is: it is the dead one's when all others stand still.
            in_peace(&mut callers, || take_back(instance.live()));
            let recount = instance.live().recount(ROUNDS);
            for &(count, drift) in &recount.corrected {
                assert!(drift > 0, "{count:?} was too small by {drift} after {point}:{hit}");
                assert_ne!(count, Count::Trunk(HEALTHY), "nobody died there");
                corrected += drift;
            }
            if recount.unsettled > 0 {
                // What the dead took is missing to the next one.
                in_peace(&mut callers, || assert_eq!(instance.live().recount(ROUNDS).unsettled, 0));
            }
            recounts += 1;
        }
    }
    for caller in callers {
        assert!(caller.finish().success());
    }
    instance.live().recount(ROUNDS);
    let recount = instance.live().recount(ROUNDS);
    assert_eq!((recount.drift(), recount.unsettled), (0, 0));
    assert_eq!(instance.live().node_calls(), 0);
    let left = instance.live().slots_in_use();
    assert!(left.iter().all(|view| view.state == SlotState::Lost), "{left:?}");
    assert_eq!(instance.live().counters().underflows, 0, "a count was corrected by too much");
    let calls: Vec<Call> = (2..2 + CALLERS).flat_map(|number| read_log(dir.path(), number)).collect();
    let most = most_at_once(calls.iter().copied());
    assert!(most <= AT_ONCE, "{most} calls at once, {AT_ONCE} allowed");
    assert_eq!(died, recounts, "a step was never come to");
    assert!(corrected > i64::from(died) / 4, "{corrected} corrected: calls never stood still enough");
    format!(
        "{died} deaths, {recounts} recounts corrected {corrected} over {} calls, {most}/{AT_ONCE} at once",
        calls.len()
    )
}
