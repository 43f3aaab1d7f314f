//! The `events` file around the ring: made by the module when Kamailio starts, drained by the daemon.
//!
//! The file outlives both processes. A start of Kamailio notes how far the producers of earlier starts had reserved;
//! holes below that are nobody's any more.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::codec::{DecodeError, Event, EventOut};
use super::repair;
use super::ring::{CELL_WORDS, Cell, Cells, Progress, Pushed, Ring};
use super::spill::{self, Spill};
use crate::crash;
use crate::error::OpenError;
use crate::map::{BOTH_WRITE_MODE, Map};
use crate::sync::{AtomicU64, Ordering};

const FILE: &str = "events";
const MAGIC: u64 = u64::from_le_bytes(*b"TRNKEVT1");
const LAYOUT: u64 = 3 << 32 | CELL_WORDS as u64;
const HEADER_WORDS: usize = 512;
const E_MAGIC: usize = 0;
const E_LAYOUT: usize = 1;
const E_CELLS: usize = 2;
/// A random number of this file: with a position it names an event for ever.
const E_RING_ID: usize = 3;
const E_HEAD: usize = 64;
const E_TAIL: usize = 72;
/// Positions below this were reserved by processes that are dead.
const E_DEAD_BELOW: usize = 80;
const E_DROPPED: usize = 88;
const E_LOST: usize = 96;
/// How often a start found a head and a tail that cannot be, and set them right.
const E_REPAIRED: usize = 97;
const E_SPILL_CELLS: usize = 4;
const E_SPILL_HEAD: usize = 104;
const E_SPILL_TAIL: usize = 112;
/// 1 while events go to the spill file.
const E_SPILL_OPEN: usize = 120;
const E_SPILL_DEAD_BELOW: usize = 128;
/// Set in the sequence of a record that came through the spill file.
const SPILLED: u64 = 1 << 62;

fn open(dir: &Path) -> Result<Map, OpenError> {
    let path = dir.join(FILE);
    let map = Map::open_shared(&path).map_err(|error| OpenError::io(&path, error))?;
    if map.acquire(E_MAGIC) != MAGIC {
        return Err(OpenError::Foreign { path, what: "event" });
    }
    let words = map.words();
    if words.at(E_LAYOUT) != LAYOUT {
        return Err(OpenError::OtherLayout { path, found: words.at(E_LAYOUT), wanted: LAYOUT });
    }
    if Size::of(&map).words() != Some(words.len()) {
        return Err(OpenError::Damaged { path, fault: "its length is not the one its header asks for" });
    }
    Ok(map)
}

/// How many events may wait: in the ring, and in the spill file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) cells: u32,
    pub(crate) spill: u32,
}

impl Size {
    fn of(map: &Map) -> Size {
        let number = |index| u32::try_from(map.words().at(index)).unwrap_or(0);
        Size { cells: number(E_CELLS), spill: number(E_SPILL_CELLS) }
    }

    fn ring_end(self) -> usize {
        HEADER_WORDS + self.cells as usize * CELL_WORDS
    }

    /// Words of the file; `None` for one that could hold nothing.
    fn words(self) -> Option<usize> {
        (self.cells > 0).then(|| self.ring_end() + self.spill as usize)
    }
}

fn ring(map: &Map) -> Ring<'_> {
    let (words, end) = (map.shared_words(), Size::of(map).ring_end());
    Ring { head: &words[E_HEAD], tail: &words[E_TAIL], cells: &words[HEADER_WORDS..end] }
}

fn spill<'a>(map: &'a Map, file: &'a File) -> Option<Spill<'a>> {
    let (words, size) = (map.shared_words(), Size::of(map));
    let commits = &words[size.ring_end()..];
    let (head, tail) = (&words[E_SPILL_HEAD], &words[E_SPILL_TAIL]);
    (size.spill > 0).then_some(Spill { head, tail, commits, file })
}

fn word(map: &Map, index: usize) -> &AtomicU64 {
    &map.shared_words()[index]
}

/// The module's side.
#[derive(Debug)]
pub(crate) struct Producer {
    map: Map,
    spill: File,
}

impl Producer {
    /// Makes the file, or takes the one that is there. A file of another size is taken over only when it is drained:
    /// events are never thrown away to resize a ring.
    pub(crate) fn create_or_reopen(dir: &Path, size: Size) -> Result<Producer, OpenError> {
        let map = match open(dir) {
            Err(OpenError::Missing { .. }) => {
                create(dir, size)?;
                open(dir)?
            }
            other => other?,
        };
        let producer = Producer::over(dir, map)?;
        producer.repair();
        let map = &producer.map;
        let found = Size::of(map);
        if found != size {
            let path = dir.join(FILE);
            let waiting = |head, tail| {
                word(map, head).load(Ordering::Acquire) != word(map, tail).load(Ordering::Acquire)
            };
            if waiting(E_HEAD, E_TAIL) || waiting(E_SPILL_HEAD, E_SPILL_TAIL) {
                let (what, found, wanted) = if found.cells == size.cells {
                    ("spill cells and still holds events that trunkd has not read", found.spill, size.spill)
                } else {
                    ("cells and still holds events that trunkd has not read", found.cells, size.cells)
                };
                return Err(OpenError::OtherSize { path, what, found: found.into(), wanted: wanted.into() });
            }
            drop(producer);
            fs::remove_file(&path).map_err(|error| OpenError::io(&path, error))?;
            return Producer::create_or_reopen(dir, size);
        }
        map.use_huge_pages();
        for (head, dead_below) in [(E_HEAD, E_DEAD_BELOW), (E_SPILL_HEAD, E_SPILL_DEAD_BELOW)] {
            let head = word(map, head).load(Ordering::Acquire);
            word(map, dead_below).store(head, Ordering::Release);
        }
        crash::point("events.dead");
        Ok(producer)
    }

    /// Sets a head and a tail right that cannot be, in the ring and in the spill file. Whoever dies in between leaves
    /// what the next start finds as damaged as before, or right.
    fn repair(&self) {
        let set = |(head_at, tail_at): (usize, usize), repaired: Option<(u64, u64)>| {
            let Some((tail, head)) = repaired else { return };
            word(&self.map, head_at).store(head, Ordering::Relaxed);
            word(&self.map, tail_at).store(tail, Ordering::Release);
            word(&self.map, E_REPAIRED).fetch_add(1, Ordering::Relaxed);
        };
        let pair = |head: usize, tail: usize| {
            (word(&self.map, tail).load(Ordering::Relaxed), word(&self.map, head).load(Ordering::Relaxed))
        };
        let ring = ring(&self.map);
        let commit = |cell: u64| ring.cells[cell as usize * CELL_WORDS].load(Ordering::Acquire);
        let cells = u64::from(Size::of(&self.map).cells);
        set((E_HEAD, E_TAIL), repair::repaired(pair(E_HEAD, E_TAIL), cells, &ring, commit));
        if let Some(spill) = spill(&self.map, &self.spill) {
            let commit = |cell: u64| spill.commits[cell as usize].load(Ordering::Acquire);
            let (pair, cells) = (pair(E_SPILL_HEAD, E_SPILL_TAIL), spill.commits.len() as u64);
            set((E_SPILL_HEAD, E_SPILL_TAIL), repair::repaired(pair, cells, &spill, commit));
        }
    }

    fn over(dir: &Path, map: Map) -> Result<Producer, OpenError> {
        let spill = spill::open(dir).map_err(|error| OpenError::io(&dir.join(spill::FILE), error))?;
        Ok(Producer { map, spill })
    }

    /// The file as it is.
    pub(crate) fn attach(dir: &Path) -> Result<Producer, OpenError> {
        Producer::over(dir, open(dir)?)
    }

    /// Asks for the memory of the next cell: an event will be written soon.
    #[inline]
    pub(crate) fn prefetch(&self) {
        ring(&self.map).prefetch();
    }

    /// Puts an event on the ring, or into the spill file while that is in use. The record says how many were dropped
    /// before it.
    #[inline]
    pub(crate) fn push(&self, event: &EventOut<'_>) -> Pushed {
        let drops = word(&self.map, E_DROPPED);
        let dropped = drops.load(Ordering::Relaxed);
        let open = word(&self.map, E_SPILL_OPEN);
        // A flood of refused calls may fill half of the ring: the other half is for calls that were let in.
        if event.is_refusal() {
            let (tail, head) = ring(&self.map).bounds();
            let half = u64::from(Size::of(&self.map).cells) / 2;
            if open.load(Ordering::Acquire) != 0 || head.saturating_sub(tail) >= half {
                drops.fetch_add(1, Ordering::Relaxed);
                return Pushed::Full;
            }
        }
        if open.load(Ordering::Acquire) == 0 {
            let ring = ring(&self.map);
            if let Some(position) = ring.reserve() {
                let mut cell = ring.fill(position);
                cell.words([dropped]);
                event.encode(&mut cell);
                cell.commit();
                return Pushed::At(position);
            }
        }
        let spilled = spill(&self.map, &self.spill).and_then(|spill| {
            open.store(1, Ordering::Release);
            spill.push(event, dropped)
        });
        spilled.map_or_else(
            || {
                drops.fetch_add(1, Ordering::Relaxed);
                Pushed::Full
            },
            Pushed::Spilled,
        )
    }

    /// Cells, and how many of them wait to be read.
    pub(crate) fn fill(&self) -> (u64, u64) {
        fill(&self.map)
    }

    /// Events whose producer died while writing.
    pub(crate) fn lost(&self) -> u64 {
        self.map.words().at(E_LOST)
    }
}

fn create(dir: &Path, size: Size) -> Result<(), OpenError> {
    let (aside, path) = (dir.join("events.new"), dir.join(FILE));
    let io = |error| OpenError::io(&path, error);
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let map = Map::create(&aside, size.words().unwrap_or(HEADER_WORDS), BOTH_WRITE_MODE).map_err(io)?;
    crash::point("events.made");
    let mut id = [0; 8];
    fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut id)).map_err(io)?;
    word(&map, E_CELLS).store(u64::from(size.cells), Ordering::Relaxed);
    word(&map, E_SPILL_CELLS).store(u64::from(size.spill), Ordering::Relaxed);
    // 63 bits: an id fits the integer of every database.
    word(&map, E_RING_ID).store(u64::from_ne_bytes(id) >> 1, Ordering::Relaxed);
    word(&map, E_LAYOUT).store(LAYOUT, Ordering::Relaxed);
    crash::point("events.header");
    word(&map, E_MAGIC).store(MAGIC, Ordering::Release);
    crash::point("events.magic");
    fs::rename(&aside, &path).map_err(io)?;
    crash::point("events.renamed");
    Ok(())
}

/// Cells of ring and spill file, and how many events wait in both.
fn fill(map: &Map) -> (u64, u64) {
    let waiting = |head, tail| {
        word(map, head).load(Ordering::Relaxed).saturating_sub(word(map, tail).load(Ordering::Relaxed))
    };
    let size = Size::of(map);
    let cells = u64::from(size.cells) + u64::from(size.spill);
    (cells, waiting(E_HEAD, E_TAIL).saturating_add(waiting(E_SPILL_HEAD, E_SPILL_TAIL)))
}

/// One record of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position, unique for ever with [`Consumer::ring_id`]; one that came through the spill file has bit 62 set.
    pub sequence: u64,
    /// How many events had been dropped when this one was pushed.
    pub dropped_before: u64,
    /// The event, or why there is none.
    pub event: Result<Event, DecodeError>,
}

impl Record {
    fn of(sequence: u64, cell: Cell) -> Record {
        let (dropped_before, event) = match cell {
            Cell::Payload(words) => match words.split_first() {
                Some((&dropped, words)) => (dropped, Event::decode(words)),
                None => (0, Err(DecodeError::Short)),
            },
            Cell::Damaged => (0, Err(DecodeError::Damaged)),
            Cell::Hole | Cell::GivenUp => (0, Err(DecodeError::Lost)),
        };
        Record { sequence, dropped_before, event }
    }
}

/// The daemon's side.
#[derive(Debug)]
pub struct Consumer {
    map: Map,
    spill: File,
    ring_progress: Progress,
    spill_progress: Progress,
}

impl Consumer {
    /// Opens the file. [`OpenError::Missing`] until Kamailio has started once.
    pub fn attach(dir: &Path) -> Result<Consumer, OpenError> {
        let Producer { map, spill } = Producer::attach(dir)?;
        Ok(Consumer { map, spill, ring_progress: Progress::default(), spill_progress: Progress::default() })
    }

    /// The file's own random number, 63 bits.
    pub fn ring_id(&self) -> u64 {
        self.map.words().at(E_RING_ID)
    }

    /// Up to `max` records that wait, in order: the ring's, then the spill file's, which are younger. Takes nothing:
    /// what is not acknowledged comes again.
    pub fn poll(&mut self, max: usize) -> Vec<Record> {
        let dead_below = self.map.acquire(E_DEAD_BELOW);
        let ring = ring(&self.map);
        let cells = self.ring_progress.poll(&ring, dead_below, max);
        let mut records: Vec<_> = cells.map(|(at, cell)| Record::of(at, cell)).collect();
        if let Some(spill) = spill(&self.map, &self.spill).filter(|_| records.len() < max) {
            let dead_below = self.map.acquire(E_SPILL_DEAD_BELOW);
            let cells = self.spill_progress.poll(&spill, dead_below, max - records.len());
            records.extend(cells.map(|(at, cell)| Record::of(at | SPILLED, cell)));
        }
        records
    }

    /// Says that these records are stored for good. Their cells may be used again; and once nothing waits anywhere,
    /// events go to the ring again.
    pub fn acknowledge(&mut self, records: &[Record]) {
        let lost = records.iter().filter(|record| record.event == Err(DecodeError::Lost)).count();
        word(&self.map, E_LOST).fetch_add(lost as u64, Ordering::Relaxed);
        crash::point("ring.lost");
        let positions = |spilled| {
            let records = records.iter().filter(move |record| (record.sequence & SPILLED != 0) == spilled);
            records.map(|record| record.sequence & !SPILLED)
        };
        self.ring_progress.acknowledge(&ring(&self.map), positions(false));
        crash::point("ring.tail");
        if let Some(spill) = spill(&self.map, &self.spill) {
            self.spill_progress.acknowledge(&spill, positions(true));
            if fill(&self.map).1 == 0 {
                // A producer that has just seen it open still spills one: it is read after what the ring holds then.
                word(&self.map, E_SPILL_OPEN).store(0, Ordering::Release);
            }
        }
    }

    /// Cells, and how many of them wait to be read.
    pub fn fill(&self) -> (u64, u64) {
        fill(&self.map)
    }

    /// Events that were dropped because ring and spill were full.
    pub fn dropped(&self) -> u64 {
        self.map.words().at(E_DROPPED)
    }

    /// Events whose producer died while writing.
    pub fn lost(&self) -> u64 {
        self.map.words().at(E_LOST)
    }

    /// How often a start of Kamailio found positions that cannot be, and set them right.
    pub fn repaired(&self) -> u64 {
        self.map.words().at(E_REPAIRED)
    }

    /// Whether the name still stands for this file, or Kamailio has made another.
    pub fn is_current(&self, dir: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let named = fs::metadata(dir.join(FILE)).map(|meta| meta.ino());
        matches!((named, self.map.inode()), (Ok(named), Ok(own)) if named == own)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::events::codec::{Answered, BodyOut};

    fn push(producer: &Producer, call: u8) -> Pushed {
        let body = BodyOut::Answered(Answered { gateway: &b""[..], attempts: 1, ring_wall_ms: 0 });
        producer.push(&EventOut { call: [call; 16], wall_ms: 1, trunk: b"acme", body })
    }

    #[test]
    fn a_start_repairs_a_ring_that_would_count_as_full_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let size = Size { cells: 4, spill: 0 };
        let start = || Producer::create_or_reopen(dir.path(), size).unwrap();
        let producer = start();
        (0..4).for_each(|call| assert_eq!(push(&producer, call), Pushed::At(u64::from(call))));
        word(&producer.map, E_TAIL).store(1_000_000, Ordering::Relaxed);
        assert_eq!(push(&producer, 9), Pushed::Full, "this is what is repaired");
        drop(producer);
        let producer = start();
        let mut consumer = Consumer::attach(dir.path()).unwrap();
        assert_eq!(consumer.repaired(), 1);
        let records = consumer.poll(9);
        let calls: Vec<u8> = records.iter().map(|record| record.event.as_ref().unwrap().call[0]).collect();
        assert_eq!(calls, [0, 1, 2, 3], "nothing is lost");
        consumer.acknowledge(&records);
        assert_eq!(push(&producer, 4), Pushed::At(4));
        drop(producer);
        drop(start());
        assert_eq!(consumer.repaired(), 1, "what can be is not touched");
    }
}
