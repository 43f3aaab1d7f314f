//! A start that dies while it restores calls: the next one restores them, each once.

use std::collections::BTreeMap;
use std::path::Path;

use trunk_admission::SlotRef;
use trunk_admission::instance::Instance;
use trunk_admission::live::SlotState;

use crate::deaths::{at_every_hit, live};
use crate::harness;
use crate::node::{all_is_free, counts, key, options, publish, sweep};
use crate::story::{Story, saved, stories};

/// A start dies while it restores calls; the next one restores them.
pub(crate) fn restore_deaths() -> String {
    let mut died = 0;
    for point in [
        "slot.claimed",
        "slot.keyed",
        "slot.filled",
        "adopt.counted",
        "adopt.epoch",
        "adopt.gateway",
        "adopt.published",
    ] {
        died += at_every_hit(point, |hit| {
            let dir = harness::directory();
            publish(dir.path());
            let life = live("worker", &[&dir.path().display()], "end.freed", 1_000);
            let said: Vec<String> = life.said;
            let died = live("restorer", &[&dir.path().display(), &said.join("\n")], point, hit).died;
            let mut instance = Instance::create(&options(dir.path())).unwrap();
            instance.enter_process(1, std::process::id(), 2);
            instance.refresh();
            let slots = restore(&instance, &stories(&said));
            assert!(slots.iter().all(Option::is_some), "{point}:{hit}: {slots:?}");
            instance.mark_restored();
            let live = instance.live();
            assert_eq!(counts(live), [slots.len() as u32; 3], "{point}:{hit}");
            assert_eq!(sweep(live), Vec::<[u8; 16]>::new(), "{point}:{hit}: all calls were restored");
            let up = live.slots_in_use();
            assert!(
                up.iter().all(|view| matches!(view.state, SlotState::Ringing | SlotState::Answered)),
                "{up:?}"
            );
            assert_eq!(up.len(), slots.len(), "{point}:{hit}");
            for slot in slots.into_iter().flatten() {
                assert!(instance.end(slot, |_| {}), "{point}:{hit}");
            }
            all_is_free(&mut instance);
            died
        });
    }
    format!("{died} deaths")
}

/// Restores the calls that are up, and one whose slot is gone.
fn restore(instance: &Instance, stories: &BTreeMap<u32, Story>) -> Vec<Option<SlotRef>> {
    let up = stories.iter().filter(|(_, story)| !story.ended);
    let mut slots: Vec<_> =
        up.map(|(call, story)| instance.adopt(&saved(story), key(instance, *call))).collect();
    let (call, story) = stories.iter().find(|(_, story)| story.ended).expect("a call that ended");
    slots.push(instance.adopt(&saved(story), key(instance, *call)));
    slots
}

/// Starts Kamailio and restores: directory, what the worker said.
pub(crate) fn restorer(arguments: &[String]) {
    let [dir, said] = arguments else { panic!("two arguments") };
    let said: Vec<String> = said.lines().map(str::to_owned).collect();
    let mut instance = Instance::create(&options(Path::new(dir))).unwrap();
    instance.enter_process(1, std::process::id(), 2);
    instance.refresh();
    restore(&instance, &stories(&said));
    instance.mark_restored();
}
