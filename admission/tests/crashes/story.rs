//! What a worker said of its calls before it died, and what Kamailio's database would hold of them.

use std::collections::BTreeMap;

use trunk_admission::live::CallView;
use trunk_admission::{CallClock, SlotRef};

/// What the worker said of a call.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) slot: u64,
    pub(crate) uid: u128,
    pub(crate) answered: u64,
    pub(crate) reported: bool,
    pub(crate) ended: bool,
}

/// The calls by their numbers.
pub(crate) fn stories(said: &[String]) -> BTreeMap<u32, Story> {
    let mut stories: BTreeMap<u32, Story> = BTreeMap::new();
    for line in said {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, call, ..] = words[..] else { panic!("{line}") };
        let story = stories.entry(call.parse().unwrap()).or_default();
        match what {
            "admitted" => {
                story.slot = words[2].parse().unwrap();
                story.uid = u128::from_str_radix(words[3], 16).unwrap();
            }
            "answered" => story.answered = 3_000,
            "reported" => story.reported = true,
            "ended" => story.ended = true,
            _ => panic!("{line}"),
        }
    }
    stories
}

/// What Kamailio's database holds of a dialog.
pub(crate) fn saved(story: &Story) -> CallView {
    CallView {
        slot: SlotRef::from_raw(story.slot).unwrap(),
        uid: story.uid.to_be_bytes(),
        trunk_live: 0,
        account_live: Some(0),
        start_wall_ms: 1_000,
        ring_wall_ms: 0,
        answer_wall_ms: story.answered,
        clock: CallClock::default(),
        gateway_live: u32::MAX,
        attempts: 0,
    }
}
