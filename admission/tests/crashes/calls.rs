//! A worker that dies takes Kamailio with it. After the restart each call is restored, or an orphan once, or was never
//! admitted; the counts are those of the restored calls; no slot is lost.
use std::path::Path;

use trunk_admission::instance::Instance;
use trunk_admission::live::{Live, SlotState};
use trunk_admission::{Admission, SlotRef, Verdict};

use crate::deaths::{at_every_hit, live};
use crate::harness;
use crate::node::{
    CROWDED, RACED, admitted, all_is_free, counts, judge, key, options, publish, serves, sweep,
};
use crate::story::{Story, saved, stories};

const RACERS: u32 = 4;
/// So many calls of each racer without a race lost would be a wonder.
const MOST_RACES: u32 = 100_000_000;

/// What a worker does, in the order in which it comes to them.
const STEPS: &[&str] = &[
    "slot.claimed",
    "slot.keyed",
    "slot.filled",
    "admit.counted",
    "admit.taken",
    "admit.published",
    "admit.uncounted",
    "slot.abandoned",
    "call.answered",
    "call.answer-time",
    "call.bound",
    "end.claimed",
    "end.reported",
    "call.uncounted",
    "end.freed",
];

/// A worker dies at each step of its calls; then Kamailio starts anew.
pub(crate) fn worker_deaths() -> String {
    let mut died = 0;
    for &point in STEPS {
        died += at_every_hit(point, |hit| {
            // The dialogs were last written just before the worker's last step, or some of them were, or none.
            let ways = [Restored::AllThatMayBe, Restored::Every(2), Restored::None];
            ways.into_iter().all(|restored| {
                let dir = harness::directory();
                publish(dir.path());
                let life = live("worker", &[&dir.path().display()], point, hit);
                if life.died {
                    knows_since_when(dir.path());
                    restart(dir.path(), &life.said, restored, &format!("{point}:{hit} {restored:?}"));
                }
                life.died
            })
        });
    }
    format!("{died} deaths")
}

/// No call is up without a time of its answer, whichever step the worker died at.
fn knows_since_when(dir: &Path) {
    for view in Live::attach(dir).unwrap().slots_in_use() {
        assert!(view.state != SlotState::Answered || view.answer_wall_ms != 0, "{view:?}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restored {
    /// Every call whose dialog was not seen to end.
    AllThatMayBe,
    /// One of so many of them.
    Every(usize),
    None,
}

fn restart(dir: &Path, said: &[String], restored: Restored, what: &str) {
    let mut instance = Instance::create(&options(dir)).unwrap();
    instance.enter_process(1, std::process::id(), 2);
    instance.refresh();
    assert_eq!(counts(instance.live()), [0; 3], "{what}: counted before anything is restored");
    let stories = stories(said);
    let may_be: Vec<_> = stories.iter().filter(|(_, story)| !story.ended).collect();
    let chosen: Vec<_> = match restored {
        Restored::AllThatMayBe => may_be,
        Restored::Every(n) => may_be.into_iter().step_by(n).collect(),
        Restored::None => vec![],
    };
    let adopted: Vec<(SlotRef, &Story)> = chosen
        .iter()
        .map(|(call, story)| {
            let slot = instance.adopt(&saved(story), key(&instance, **call));
            (slot.unwrap_or_else(|| panic!("{what}: call {call} found no slot")), *story)
        })
        .collect();
    instance.mark_restored();
    assert_eq!(counts(instance.live()), [adopted.len() as u32; 3], "{what}: counts are the restored calls");
    let orphans: Vec<u128> = sweep(instance.live()).into_iter().map(u128::from_be_bytes).collect();
    for (call, story) in &stories {
        let is_adopted = adopted.iter().any(|(_, other)| other.uid == story.uid);
        let times = orphans.iter().filter(|&&uid| uid == story.uid).count();
        // An ending that was reported and not finished may be reported again; nothing else is told twice or never.
        let right = match (is_adopted || story.ended, story.reported) {
            (true, _) => times == 0,
            (false, true) => times <= 1,
            (false, false) => times == 1,
        };
        assert!(right, "{what}: call {call} is an orphan {times} times");
    }
    let strangers = orphans.iter().filter(|&&uid| !stories.values().any(|story| story.uid == uid)).count();
    assert!(strangers <= 1, "{what}: only the call in judgement may be unknown");
    assert_eq!(
        counts(instance.live()),
        [adopted.len() as u32; 3],
        "{what}: orphans of another epoch are not counted"
    );
    let up = instance.live().slots_in_use();
    assert_eq!(up.len(), adopted.len(), "{what}");
    for (slot, story) in adopted {
        assert!(instance.end(slot, |view| assert_eq!(view.uid, story.uid.to_be_bytes())), "{what}: {up:?}");
    }
    all_is_free(&mut instance);
}

/// Starts Kamailio, admits calls, answers some, refuses one, ends two: directory.
pub(crate) fn worker(arguments: &[String]) {
    let [dir] = arguments else { panic!("one argument") };
    let mut instance = Instance::create(&options(Path::new(dir))).unwrap();
    instance.enter_process(1, std::process::id(), 1);
    instance.refresh();
    instance.mark_restored();
    let calls: Vec<Admission> = (0..4)
        .map(|call| {
            let admission = admitted(&mut instance, 0, call);
            let (slot, uid) = (admission.slot.to_raw(), u128::from_be_bytes(admission.uid));
            harness::say(format_args!("admitted {call} {slot} {uid:032x}"));
            admission
        })
        .collect();
    for call in [1, 2] {
        instance.bind_dialog(calls[call].slot, 7, call as u32);
        assert!(instance.answered(calls[call].slot, 3_000));
        harness::say(format_args!("answered {call}"));
    }
    // Over an account's limit: what was counted at the trunk goes back.
    let crowd = admitted(&mut instance, CROWDED, 10);
    assert!(instance.end(crowd.slot, |_| {}));
    let crowd = admitted(&mut instance, CROWDED, 11);
    assert!(matches!(judge(&mut instance, CROWDED, 12), Verdict::Refused(_)));
    assert!(instance.end(crowd.slot, |_| {}));
    for call in [0, 1] {
        assert!(instance.end(calls[call].slot, |_| harness::say(format_args!("reported {call}"))));
        harness::say(format_args!("ended {call}"));
    }
}

/// A worker dies while it gives back what a lost race had taken.
pub(crate) fn race_deaths() -> String {
    let dir = harness::directory();
    publish(dir.path());
    let died = live("racer", &[&dir.path().display()], "admit.returned", 1).died;
    assert!(died, "no race for a token was ever lost");
    serves(dir.path());
    "1 death".to_owned()
}

/// Many threads after the same tokens, until one loses a race for its account's: directory.
pub(crate) fn racer(arguments: &[String]) {
    let [dir] = arguments else { panic!("one argument") };
    let options = options(Path::new(dir));
    let first = Instance::create(&options).unwrap();
    std::thread::scope(|scope| {
        for number in 1..=RACERS {
            let mut instance = Instance::join(&options).unwrap();
            instance.enter_process(number, std::process::id(), u64::from(number));
            scope.spawn(move || {
                for call in 0..MOST_RACES {
                    if let Verdict::Admitted(call) = judge(&mut instance, RACED, number * MOST_RACES + call) {
                        assert!(instance.end(call.slot, |_| {}));
                    }
                }
            });
        }
    });
    drop(first);
}
