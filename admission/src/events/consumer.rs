//! The daemon's side of the `events` file: one reader, which says when it is done with a record.
//! Must never take a record away before it is acknowledged.

use std::fs::{self, File};
use std::path::Path;

use super::event::{DecodeError, Event};
use super::file::*;
use super::producer::Producer;
use super::ring::{Cell, Progress};
use crate::crash;
use crate::error::OpenError;
use crate::map::Map;
use crate::sync::Ordering;

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
        if let Some(spill) = spill_of(&self.map, &self.spill).filter(|_| records.len() < max) {
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
        if let Some(spill) = spill_of(&self.map, &self.spill) {
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
