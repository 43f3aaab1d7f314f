//! Producers and consumers of events that die: a producer costs its own record at most, a consumer none.

use std::net::IpAddr;
use std::path::Path;

use trunk_admission::events::{Body, BodyOut, Consumer, DecodeError, EventOut, InitiatedOut, Record};
use trunk_admission::instance::{Instance, Options};
use trunk_admission::model::Kind;

use crate::deaths::{at_every_hit, live};
use crate::harness;
use crate::tables;

/// Events of one producer that lives.
const EVENTS: u64 = 6;

/// Room for all events in the ring, or for few there and the rest in the spill file.
fn options(dir: &Path, ring_cells: u32) -> Options {
    Options { ring_cells, ..tables::options(dir, 16, 1, 1, 2) }
}

/// An event that can be told from every other, and that fills many words.
fn push(instance: &Instance, number: u64) {
    let text = |name: &str| format!("{name} {number} {}", "x".repeat(number as usize % 50));
    let (call_id, uri) = (text("call"), text("sip:"));
    let initiated = InitiatedOut {
        account: b"account",
        kind: Kind::Trunk,
        reason: None,
        limit: 1,
        count: 2,
        wait_ms: 3,
        generation: number,
        source: IpAddr::from([203, 0, 113, 7]),
        source_port: 5060,
        sip_call_id: call_id.as_bytes(),
        from_user: b"from",
        from_host: b"host",
        to_user: b"to",
        request_uri: uri.as_bytes(),
    };
    let body = BodyOut::Initiated(initiated);
    instance.push(&EventOut { call: [number as u8; 16], wall_ms: number, trunk: b"trunk", body });
}

/// The number of a record's event, every part of it compared; `None` for a lost one.
fn number_of(record: &Record) -> Option<u64> {
    match &record.event {
        Ok(event) => {
            let Body::Initiated(initiated) = &event.body else { panic!("{record:?}") };
            let number = event.wall_ms;
            assert_eq!((event.call, initiated.generation), ([number as u8; 16], number));
            assert_eq!(initiated.sip_call_id, format!("call {number} {}", "x".repeat(number as usize % 50)));
            Some(number)
        }
        Err(DecodeError::Lost) => None,
        Err(error) => panic!("{record:?}: {error}"),
    }
}

fn numbers(records: &[Record]) -> Vec<Option<u64>> {
    records.iter().map(number_of).collect()
}

/// A producer dies at each step, of the ring and of the spill file, in each word of each record.
pub(crate) fn producer_deaths() -> String {
    let mut died = 0;
    for point in ["ring.reserved", "ring.word", "ring.length", "ring.committed"] {
        died += at_every_hit(point, |hit| producer_dies(point, hit, 16));
    }
    for point in ["spill.reserved", "spill.written", "spill.committed"] {
        died += at_every_hit(point, |hit| producer_dies(point, hit, 2));
    }
    format!("{died} deaths")
}

fn producer_dies(point: &'static str, hit: u64, ring_cells: u32) -> bool {
    let dir = harness::directory();
    let options = options(dir.path(), ring_cells);
    let instance = Instance::create(&options).unwrap();
    let mut consumer = Consumer::attach(dir.path()).unwrap();
    let life = live("producer", &[&dir.path().display(), &ring_cells], point, hit);
    let pushed = life.said.len() as u64;
    let committed = pushed + u64::from(point.ends_with(".committed") && life.died);
    // Another process goes on, and the consumer reads past what the dead one left.
    let own = [100, 101];
    own.iter().for_each(|&number| push(&instance, number));
    let wanted: Vec<_> = (0..committed).chain(own).map(Some).collect();
    let records = consumer.poll(usize::MAX);
    assert_eq!(numbers(&records), wanted, "{point}:{hit}");
    assert_eq!(numbers(&consumer.poll(usize::MAX)), wanted, "polling takes nothing");
    consumer.acknowledge(&records);
    assert_eq!(consumer.poll(usize::MAX), []);
    assert_eq!(consumer.lost(), 0, "not before its epoch is over");
    // Kamailio dies with its worker: the next start gives the hole up, for this consumer and for a new one.
    drop(instance);
    let instance = Instance::create(&options).unwrap();
    push(&instance, 102);
    let lost = life.died && committed == pushed;
    let wanted: Vec<_> = lost.then_some(None).into_iter().chain([Some(102)]).collect();
    let mut fresh = Consumer::attach(dir.path()).unwrap();
    // A new consumer has not seen what was read past the hole: that comes again, and nothing else is different.
    assert!(fresh.poll(usize::MAX).iter().filter(|record| number_of(record).is_none()).count() <= 1);
    let records = consumer.poll(usize::MAX);
    assert_eq!(numbers(&records), wanted, "{point}:{hit} in the next epoch");
    consumer.acknowledge(&records);
    assert_eq!((consumer.lost(), consumer.dropped()), (u64::from(lost), 0));
    assert_eq!(consumer.fill().1, 0, "{point}:{hit}: a cell is still taken");
    // Every cell serves again.
    let cells = u64::from(ring_cells) + u64::from(options.spill_cells);
    (0..cells).for_each(|number| push(&instance, number));
    let records = consumer.poll(usize::MAX);
    assert_eq!(numbers(&records), (0..cells).map(Some).collect::<Vec<_>>(), "{point}:{hit}");
    consumer.acknowledge(&records);
    life.died
}

/// Pushes events, and says so after each: directory, cells of the ring.
pub(crate) fn producer(arguments: &[String]) {
    let [dir, cells] = arguments else { panic!("two arguments") };
    let mut instance = Instance::join(&options(Path::new(dir), cells.parse().unwrap())).unwrap();
    instance.enter_process(1, std::process::id(), 1);
    for number in 0..EVENTS {
        push(&instance, number);
        harness::say(number);
    }
}

/// A consumer dies between two steps of acknowledging: the next one gets all that it had not stored.
pub(crate) fn consumer_deaths() -> String {
    let mut died = 0;
    for point in ["ring.lost", "ring.tail"] {
        died += at_every_hit(point, |hit| {
            let dir = harness::directory();
            let instance = Instance::create(&options(dir.path(), 4)).unwrap();
            (0..EVENTS).for_each(|number| push(&instance, number));
            let life = live("consumer", &[&dir.path().display()], point, hit);
            let stored: Vec<u64> = life.said.iter().map(|line| line.parse().unwrap()).collect();
            let mut consumer = Consumer::attach(dir.path()).unwrap();
            let records = consumer.poll(usize::MAX);
            let again: Vec<u64> = records.iter().map(|record| number_of(record).unwrap()).collect();
            // In order, none missing; what was stored last may come again.
            assert!(again.is_sorted(), "{again:?}");
            let mut all: Vec<u64> = stored.iter().chain(&again).copied().collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all, (0..EVENTS).collect::<Vec<_>>(), "{point}:{hit}: {stored:?} then {again:?}");
            assert!(stored.len() + again.len() <= EVENTS as usize + 2, "{stored:?} then {again:?}");
            consumer.acknowledge(&records);
            assert_eq!((consumer.fill().1, consumer.lost()), (0, 0));
            push(&instance, 50);
            assert_eq!(numbers(&consumer.poll(usize::MAX)), [Some(50)]);
            life.died
        });
    }
    format!("{died} deaths")
}

/// Stores two records at a time and acknowledges them: directory.
pub(crate) fn consumer(arguments: &[String]) {
    let [dir] = arguments else { panic!("one argument") };
    let mut consumer = Consumer::attach(Path::new(dir)).unwrap();
    loop {
        let records = consumer.poll(2);
        if records.is_empty() {
            return;
        }
        records.iter().for_each(|record| harness::say(number_of(record).unwrap()));
        consumer.acknowledge(&records);
    }
}
