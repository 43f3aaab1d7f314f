//! The `events` file around the ring: made by the module when Kamailio starts, drained by the daemon.
//!
//! The file outlives both processes. A start of Kamailio notes how far the producers of earlier starts had reserved;
//! holes below that are nobody's any more.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::codec::{DecodeError, Event, EventOut};
use super::ring::{CELL_WORDS, Cell, Progress, Pushed, Ring};
use crate::crash;
use crate::error::OpenError;
use crate::map::{BOTH_WRITE_MODE, Map};
use crate::sync::{AtomicU64, Ordering};

const FILE: &str = "events";
const MAGIC: u64 = u64::from_le_bytes(*b"TRNKEVT1");
const LAYOUT: u64 = 1 << 32 | CELL_WORDS as u64;
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
    let cells = words.at(E_CELLS) as usize;
    if cells == 0 || cells.checked_mul(CELL_WORDS).map(|body| body + HEADER_WORDS) != Some(words.len()) {
        return Err(OpenError::Damaged { path, fault: "its length is not the one its header asks for" });
    }
    Ok(map)
}

fn ring(map: &Map) -> Ring<'_> {
    let words = map.shared_words();
    Ring { head: &words[E_HEAD], tail: &words[E_TAIL], cells: &words[HEADER_WORDS..] }
}

fn word(map: &Map, index: usize) -> &AtomicU64 {
    &map.shared_words()[index]
}

/// The module's side.
#[derive(Debug)]
pub(crate) struct Producer(Map);

impl Producer {
    /// Makes the file, or takes the one that is there. A file of another size is taken over only when it is drained:
    /// events are never thrown away to resize a ring.
    pub(crate) fn create_or_reopen(dir: &Path, cells: u32) -> Result<Producer, OpenError> {
        let map = match open(dir) {
            Err(OpenError::Missing { .. }) => {
                create(dir, cells)?;
                open(dir)?
            }
            other => other?,
        };
        let found = map.words().at(E_CELLS);
        if found != u64::from(cells) {
            let ring = ring(&map);
            let path = dir.join(FILE);
            if ring.tail.load(Ordering::Acquire) != ring.head.load(Ordering::Acquire) {
                let what = "cells and still holds events that trunkd has not read";
                return Err(OpenError::OtherSize { path, what, found, wanted: u64::from(cells) });
            }
            drop(map);
            fs::remove_file(&path).map_err(|error| OpenError::io(&path, error))?;
            return Producer::create_or_reopen(dir, cells);
        }
        let head = ring(&map).head.load(Ordering::Acquire);
        word(&map, E_DEAD_BELOW).store(head, Ordering::Release);
        crash::point("events.dead");
        Ok(Producer(map))
    }

    /// The file as it is.
    pub(crate) fn attach(dir: &Path) -> Result<Producer, OpenError> {
        open(dir).map(Producer)
    }

    /// Puts an event on the ring.
    pub(crate) fn push(&self, event: &EventOut<'_>) -> Pushed {
        let ring = ring(&self.0);
        let Some(position) = ring.reserve() else {
            word(&self.0, E_DROPPED).fetch_add(1, Ordering::Relaxed);
            return Pushed::Full;
        };
        let mut cell = ring.fill(position);
        event.encode(&mut cell);
        cell.commit();
        Pushed::At(position)
    }

    /// Cells, and how many of them wait to be read.
    pub(crate) fn fill(&self) -> (u64, u64) {
        fill(&self.0)
    }

    /// Events whose producer died while writing.
    pub(crate) fn lost(&self) -> u64 {
        self.0.words().at(E_LOST)
    }
}

fn create(dir: &Path, cells: u32) -> Result<(), OpenError> {
    let (aside, path) = (dir.join("events.new"), dir.join(FILE));
    let io = |error| OpenError::io(&path, error);
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let map = Map::create(&aside, HEADER_WORDS + cells as usize * CELL_WORDS, BOTH_WRITE_MODE).map_err(io)?;
    crash::point("events.made");
    let mut id = [0; 8];
    fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut id)).map_err(io)?;
    word(&map, E_CELLS).store(u64::from(cells), Ordering::Relaxed);
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

fn fill(map: &Map) -> (u64, u64) {
    let ring = ring(map);
    let (tail, head) = (ring.tail.load(Ordering::Relaxed), ring.head.load(Ordering::Relaxed));
    (map.words().at(E_CELLS), head.saturating_sub(tail))
}

/// One record of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position: grows for ever, unique with [`Consumer::ring_id`].
    pub sequence: u64,
    /// The event, or why there is none.
    pub event: Result<Event, DecodeError>,
}

/// The daemon's side.
#[derive(Debug)]
pub struct Consumer {
    map: Map,
    progress: Progress,
}

impl Consumer {
    /// Opens the file. [`OpenError::Missing`] until Kamailio has started once.
    pub fn attach(dir: &Path) -> Result<Consumer, OpenError> {
        Ok(Consumer { map: open(dir)?, progress: Progress::default() })
    }

    /// The file's own random number, 63 bits.
    pub fn ring_id(&self) -> u64 {
        self.map.words().at(E_RING_ID)
    }

    /// Up to `max` records that wait, in order. Takes nothing: what is not acknowledged comes again.
    pub fn poll(&mut self, max: usize) -> Vec<Record> {
        let dead_below = self.map.acquire(E_DEAD_BELOW);
        let cells = self.progress.poll(ring(&self.map), dead_below, max);
        let records = cells.into_iter().map(|(sequence, cell)| {
            let event = match cell {
                Cell::Payload(words) => Event::decode(&words),
                Cell::Damaged => Err(DecodeError::Damaged),
                Cell::Hole => Err(DecodeError::Lost),
            };
            Record { sequence, event }
        });
        records.collect()
    }

    /// Says that these records are stored for good. Their cells may be used again.
    pub fn acknowledge(&mut self, records: &[Record]) {
        let lost = records.iter().filter(|record| record.event == Err(DecodeError::Lost)).count();
        word(&self.map, E_LOST).fetch_add(lost as u64, Ordering::Relaxed);
        crash::point("ring.lost");
        self.progress.acknowledge(ring(&self.map), records.iter().map(|record| record.sequence));
        crash::point("ring.tail");
    }

    /// Cells, and how many of them wait to be read.
    pub fn fill(&self) -> (u64, u64) {
        fill(&self.map)
    }

    /// Events that were dropped because the ring was full.
    pub fn dropped(&self) -> u64 {
        self.map.words().at(E_DROPPED)
    }

    /// Events whose producer died while writing.
    pub fn lost(&self) -> u64 {
        self.map.words().at(E_LOST)
    }

    /// Whether the name still stands for this file, or Kamailio has made another.
    pub fn is_current(&self, dir: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let named = fs::metadata(dir.join(FILE)).map(|meta| meta.ino());
        matches!((named, self.map.inode()), (Ok(named), Ok(own)) if named == own)
    }
}
