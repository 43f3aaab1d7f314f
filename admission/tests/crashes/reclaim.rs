//! A daemon that dies while it takes back the calls that nobody will end: the next one goes on where it was.

use std::path::Path;

use trunk_admission::instance::Instance;
use trunk_admission::live::{Live, SlotRef};
use trunk_admission::{Admission, Verdict};

use crate::deaths::{at_every_hit, live};
use crate::harness;
use crate::node::{all_is_free, counts, judge, options, publish, sweep};

/// Calls of the epoch in which the daemon sweeps; it takes the first of them.
const CALLS: u32 = 4;

/// Dies at each step, over calls of an earlier epoch and over one of the present.
pub(crate) fn deaths() -> String {
    let mut died = 0;
    for point in ["reclaim.marked", "reclaim.noted", "reclaim.uncounted", "reclaim.freed"] {
        died += at_every_hit(point, |hit| {
            let dir = harness::directory();
            publish(dir.path());
            admit(dir.path());
            // The first start's calls are orphans of the second.
            let (mut instance, calls) = admit(dir.path());
            let first = calls[0].slot.to_raw();
            let life = live("daemon", &[&dir.path().display(), &first], point, hit);
            let next = Live::attach(dir.path()).unwrap();
            let orphans = sweep(&next);
            // The daemon said each call that it stored; what it had only marked, or freed no more, comes again.
            let mut ended: Vec<String> = orphans.iter().map(hex).chain(life.said).collect();
            ended.sort_unstable();
            ended.dedup();
            let taken = ended.contains(&hex(&calls[0].uid));
            assert_eq!(ended.len() as u32, CALLS + u32::from(taken), "{point}:{hit}");
            let left = CALLS - u32::from(taken);
            assert_eq!(counts(&next), [left; 3], "{point}:{hit}: counts are the calls that are up");
            for call in calls.iter().skip(usize::from(taken)) {
                assert!(instance.end(call.slot, |_| {}), "{point}:{hit}");
            }
            all_is_free(&mut instance);
            life.died
        });
    }
    format!("{died} deaths")
}

fn hex(uid: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*uid))
}

/// A start with calls.
fn admit(dir: &Path) -> (Instance, Vec<Admission>) {
    let mut instance = Instance::create(&options(dir)).unwrap();
    let epoch = instance.live().epoch() as u32;
    // Another seed for each start, as in production: an id is a time and random bits.
    instance.enter_process(1, std::process::id(), u64::from(epoch));
    instance.refresh();
    instance.mark_restored();
    let calls = (0..CALLS).map(|call| match judge(&mut instance, 0, epoch * 100 + call) {
        Verdict::Admitted(admission) => admission,
        other => panic!("{other:?}"),
    });
    let calls = calls.collect();
    (instance, calls)
}

/// Sweeps: orphans, then one call whose dialog is gone: directory, slot of that call.
pub(crate) fn daemon(arguments: &[String]) {
    let [dir, slot] = arguments else { panic!("two arguments") };
    let live = Live::attach(Path::new(dir)).unwrap();
    let orphans = live.orphans().into_iter().map(|view| view.slot);
    let gone = SlotRef::from_raw(slot.parse().unwrap()).unwrap();
    for slot in orphans.chain([gone]) {
        let reclaimed = live.begin_reclaim(slot).expect("nobody else ends it");
        harness::say(hex(&reclaimed.0.uid));
        live.finish_reclaim(reclaimed);
    }
}
