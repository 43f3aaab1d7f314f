//! A publisher without pause and six readers: every answer of one look at the table is of one generation.
//!
//! Bases and overlays take turns. A reader that finds an image it cannot use says so.

use std::path::Path;
use std::time::{Duration, Instant};

use trunk_admission::instance::{Freshness, Instance};
use trunk_admission::publish::{Folding, PublishOptions, Publisher};

use crate::harness::{self, Process};
use crate::numbered::{TRUNKS, agreed, hosts, numbered};
use crate::tables::options;

const READERS: u32 = 6;
/// How long; `TRUNK_PROOF_SECONDS` asks for more.
const SECONDS: u64 = 60;

/// Publishes for as long as asked while the readers read.
pub(crate) fn torn() -> String {
    let time = Duration::from_secs(harness::amount("TRUNK_PROOF_SECONDS", SECONDS));
    let dir = harness::directory();
    let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
    publisher.publish(&numbered(1), None).unwrap();
    let instance = Instance::create(&options(dir.path(), 64, TRUNKS, TRUNKS, READERS + 1)).unwrap();
    let mut readers: Vec<Process> = (1..=READERS)
        .map(|number| Process::start("reader", &[&dir.path().display(), &number, &time.as_millis()], &[]))
        .collect();
    for reader in &mut readers {
        assert_eq!(reader.hear().as_deref(), Some("ready"));
    }
    readers.iter_mut().for_each(|reader| reader.say("go"));
    let started = Instant::now();
    let (mut number, mut overlays) = (1, 0);
    while started.elapsed() < time {
        number += 1;
        // Three overlays, then a base.
        let small_trunks = if number % 4 == 0 { 256 } else { 0 };
        publisher.set_folding(Folding { small_trunks, ..Folding::default() });
        let published = publisher.publish(&numbered(number), Some(instance.live())).unwrap();
        overlays += u32::from(published.changed > 0);
    }
    let (mut answers, mut seen) = (0, 0);
    for mut reader in readers {
        let report = reader.hear().expect("a report");
        let words: Vec<u64> = report.split(' ').map(|word| word.parse().expect(&report)).collect();
        let [generations, looks] = words[..] else { panic!("{report}") };
        assert!(reader.finish().success());
        (answers, seen) = (answers + looks, seen + generations);
    }
    assert_eq!(instance.live().counters().images_refused, 0);
    assert!(overlays > 0 && overlays < number, "{overlays} of {number} were overlays");
    format!(
        "\n    {number} generations, {overlays} of them overlays, {seen} seen by {READERS} readers, \
         {answers:.2e} answers, 0 mixed, 0 refused",
        answers = answers as f64
    )
}

/// One reader: directory, number, milliseconds.
pub(crate) fn reader(arguments: &[String]) {
    let [dir, number, time] = arguments else { panic!("three arguments") };
    let number: u32 = number.parse().unwrap();
    let time = Duration::from_millis(time.parse().unwrap());
    let mut instance = Instance::join(&options(Path::new(dir), 64, TRUNKS, TRUNKS, READERS + 1)).unwrap();
    instance.enter_process(number, std::process::id(), u64::from(number));
    let hosts = hosts();
    harness::say("ready");
    assert_eq!(harness::hear().as_deref(), Some("go"));
    let started = Instant::now();
    let (mut generations, mut answers, mut last) = (0, 0, 0);
    while started.elapsed() < time {
        for _ in 0..16 {
            match instance.refresh() {
                Freshness::Newer => generations += 1,
                Freshness::Same => {}
                other => panic!("{other:?}"),
            }
            let (current, looks) = agreed(&instance, &hosts);
            assert!(current >= last, "{current} after {last}");
            last = current;
            answers += looks;
        }
    }
    harness::say(format_args!("{generations} {answers}"));
}
