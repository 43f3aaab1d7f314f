//! A publisher that dies: what was in force stays in force, whole, and the next publisher publishes at once.

use std::path::Path;

use trunk_admission::instance::{Freshness, Instance};
use trunk_admission::publish::{Folding, PublishOptions, Publisher};

use crate::deaths::{at_every_hit, live};
use crate::harness;
use crate::numbered::{TRUNKS, agreed, hosts, numbered};
use crate::tables::options;

/// Times that a publisher dies at each point; `TRUNK_PROOF_DEATHS` asks for more.
const DEATHS: u64 = 200;

/// Making the directory's control file.
const FIRST: &[&str] = &["control.made", "control.layout", "control.magic", "control.renamed"];
/// Before the new images are named.
const BEFORE: &[&str] = &[
    "publish.locked",
    "publish.swept",
    "publish.built",
    "publish.created",
    "publish.written",
    "publish.shared",
    "publish.renamed",
    "publish.verified",
    "publish.slower",
    "control.revision",
    "control.time",
];
/// After.
const AFTER: &[&str] = &["control.named", "publish.faster", "publish.removed"];

/// Dies at every point, so often as asked.
pub(crate) fn deaths() -> String {
    let rounds = harness::amount("TRUNK_PROOF_DEATHS", DEATHS);
    let mut died = 0;
    for _ in 0..rounds {
        for &point in FIRST {
            died += at_every_hit(point, |hit| without_a_control_file(point, hit));
        }
        let dir = harness::directory();
        let mut number = 1;
        publish(dir.path(), number);
        let mut instance = Instance::create(&options(dir.path(), 64, TRUNKS, TRUNKS, 2)).unwrap();
        instance.enter_process(1, std::process::id(), 1);
        for &point in BEFORE.iter().chain(AFTER) {
            died += at_every_hit(point, |hit| {
                let life = live("publisher", &[&dir.path().display(), &(number + 1)], point, hit);
                if life.died {
                    // It says what is in force before and after each step.
                    let step = life.said.last().map(|line| line.split_once(' ').unwrap());
                    let [before, after] = step.map_or([number; 2], |(before, after)| {
                        [before, after].map(|number| number.parse().unwrap())
                    });
                    let named = if AFTER.contains(&point) { after } else { before };
                    assert_eq!(now_in_force(&mut instance), named, "{point}:{hit}");
                    number = after + 1;
                    publish(dir.path(), number);
                } else {
                    number += ONE_LIFE;
                }
                assert_eq!(now_in_force(&mut instance), number, "after {point}:{hit}");
                life.died
            });
        }
        assert_eq!(instance.live().counters().images_refused, 0);
    }
    format!("{died} deaths at {} points", FIRST.len() + BEFORE.len() + AFTER.len())
}

/// What the reader decides by, every answer of it compared.
fn now_in_force(instance: &mut Instance) -> u32 {
    match instance.refresh() {
        Freshness::Same | Freshness::Newer => {}
        other => panic!("{other:?}"),
    }
    agreed(instance, &hosts()).0
}

/// The next publisher: opens at once, leaves nothing of the dead one, publishes.
fn publish(dir: &Path, number: u32) {
    let mut publisher = Publisher::open(dir, PublishOptions::default()).unwrap();
    let left: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("table-") || name.ends_with(".new"))
        .collect();
    // A base and its overlay at most.
    assert!(left.len() <= 2 && left.iter().all(|name| !name.ends_with(".new")), "left over: {left:?}");
    publisher.publish(&numbered(number), None).unwrap();
}

/// A publisher dies before there was ever a table.
fn without_a_control_file(point: &'static str, hit: u64) -> bool {
    let dir = harness::directory();
    let mut instance = Instance::create(&options(dir.path(), 64, TRUNKS, TRUNKS, 2)).unwrap();
    assert!(matches!(instance.refresh(), Freshness::Empty));
    let died = live("publisher", &[&dir.path().display(), &1], point, hit).died;
    if died {
        let mut early = Instance::join(&options(dir.path(), 64, TRUNKS, TRUNKS, 2)).unwrap();
        assert!(matches!(early.refresh(), Freshness::Empty));
        publish(dir.path(), 7);
        let mut reader = Instance::join(&options(dir.path(), 64, TRUNKS, TRUNKS, 2)).unwrap();
        assert_eq!(now_in_force(&mut reader), 7);
    }
    died
}

/// Numbers that a publisher publishes when it lives.
const ONE_LIFE: u32 = 3;

/// Publishes a base, an overlay, and base and overlay folded with another overlay on top: directory, first number.
pub(crate) fn publisher(arguments: &[String]) {
    let [dir, first] = arguments else { panic!("two arguments") };
    let (dir, first): (&Path, u32) = (Path::new(dir), first.parse().unwrap());
    let words = Instance::join(&options(dir, 64, TRUNKS, TRUNKS, 2)).unwrap();
    let mut publisher = Publisher::open(dir, PublishOptions::default()).unwrap();
    publisher.set_folding(Folding { small_trunks: 0, ..Folding::default() });
    let step = |before: u32, after: u32| harness::say(format_args!("{before} {after}"));
    for number in first..first + 2 {
        step(number - 1, number);
        publisher.publish(&numbered(number), Some(words.live())).unwrap();
    }
    let fold = publisher.begin_fold().unwrap();
    step(first + 1, first + 2);
    publisher.publish(&numbered(first + 2), Some(words.live())).unwrap();
    step(first + 2, first + 2);
    let folded = fold.build().unwrap();
    publisher.finish_fold(folded, Some(words.live())).unwrap();
}
