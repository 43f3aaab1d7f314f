//! A start of Kamailio that dies: the next one takes over, or makes anew, what it left.

use std::path::Path;

use trunk_admission::instance::Instance;
use trunk_admission::live::Live;

use crate::deaths::{at_every_hit, live};
use crate::harness;
use crate::node;

/// Where `live` and `events` are made for the first time.
const MADE: &[&str] = &[
    "live.made",
    "live.header",
    "live.magic",
    "live.renamed",
    "events.made",
    "events.header",
    "events.magic",
    "events.renamed",
];
/// Where an epoch begins.
const BEGUN: &[&str] = &[
    "epoch.reset",
    "epoch.abandoned",
    "epoch.pid",
    "epoch.time",
    "epoch.begun",
    "events.dead",
    "epoch.restored",
];

/// Dies at each of them.
pub(crate) fn deaths() -> String {
    let mut died = 0;
    for &point in MADE {
        died += at_every_hit(point, |hit| {
            let dir = harness::directory();
            node::publish(dir.path());
            let died = live("start", &[&dir.path().display()], point, hit).died;
            node::serves(dir.path());
            died
        });
    }
    for &point in BEGUN {
        died += at_every_hit(point, |hit| {
            // What a start finds: a call that is up, and one that a dead worker was still judging.
            let dir = harness::directory();
            node::publish(dir.path());
            let begun = live("worker", &[&dir.path().display()], "slot.filled", 15);
            assert!(begun.died);
            let before = Live::attach(dir.path()).unwrap().slots_in_use().len();
            assert_eq!(before, 2, "{:?}", begun.said);
            let died = live("start", &[&dir.path().display()], point, hit).died;
            node::serves(dir.path());
            died
        });
    }
    format!("{died} deaths")
}

/// A start without any dialog to restore: directory.
pub(crate) fn start(arguments: &[String]) {
    let [dir] = arguments else { panic!("one argument") };
    let instance = Instance::create(&node::options(Path::new(dir))).unwrap();
    instance.mark_restored();
}
