//! The module's side of the `events` file: made at Kamailio's start, written by every process, never waited for.

use std::fs::{self, File};
use std::path::Path;

use super::event::EventOut;
use super::file::*;
use super::repair;
use super::ring::{CELL_WORDS, Cells, Pushed};
use super::spill;
use crate::crash;
use crate::error::OpenError;
use crate::map::Map;
use crate::sync::Ordering;

/// The module's side.
#[derive(Debug)]
pub(crate) struct Producer {
    pub(super) map: Map,
    pub(super) spill: File,
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
        if let Some(spill) = spill_of(&self.map, &self.spill) {
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
        let spilled = spill_of(&self.map, &self.spill).and_then(|spill| {
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::events::Consumer;
    use crate::events::event::{Answered, BodyOut};

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
