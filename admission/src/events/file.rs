//! The `events` file around the ring: made by the module when Kamailio starts ([`super::producer`]), drained by the daemon
//! ([`super::consumer`]).
//!
//! The file outlives both processes. A start of Kamailio notes how far the producers of earlier starts had reserved;
//! holes below that are nobody's any more.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::ring::{CELL_WORDS, Ring};
use super::spill::Spill;
use crate::crash;
use crate::error::OpenError;
use crate::map::{BOTH_WRITE_MODE, Map};
use crate::sync::{AtomicU64, Ordering};

pub(super) const FILE: &str = "events";
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"TRNKEVT1");
pub(super) const LAYOUT: u64 = 3 << 32 | CELL_WORDS as u64;
pub(super) const HEADER_WORDS: usize = 512;
pub(super) const E_MAGIC: usize = 0;
pub(super) const E_LAYOUT: usize = 1;
pub(super) const E_CELLS: usize = 2;
/// A random number of this file: with a position it names an event for ever.
pub(super) const E_RING_ID: usize = 3;
pub(super) const E_HEAD: usize = 64;
pub(super) const E_TAIL: usize = 72;
/// Positions below this were reserved by processes that are dead.
pub(super) const E_DEAD_BELOW: usize = 80;
pub(super) const E_DROPPED: usize = 88;
pub(super) const E_LOST: usize = 96;
/// How often a start found a head and a tail that cannot be, and set them right.
pub(super) const E_REPAIRED: usize = 97;
pub(super) const E_SPILL_CELLS: usize = 4;
pub(super) const E_SPILL_HEAD: usize = 104;
pub(super) const E_SPILL_TAIL: usize = 112;
/// 1 while events go to the spill file.
pub(super) const E_SPILL_OPEN: usize = 120;
pub(super) const E_SPILL_DEAD_BELOW: usize = 128;
/// Set in the sequence of a record that came through the spill file.
pub(super) const SPILLED: u64 = 1 << 62;

pub(super) fn open(dir: &Path) -> Result<Map, OpenError> {
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
    pub(super) fn of(map: &Map) -> Size {
        let number = |index| u32::try_from(map.words().at(index)).unwrap_or(0);
        Size { cells: number(E_CELLS), spill: number(E_SPILL_CELLS) }
    }

    pub(super) fn ring_end(self) -> usize {
        HEADER_WORDS + self.cells as usize * CELL_WORDS
    }

    /// Words of the file; `None` for one that could hold nothing.
    pub(super) fn words(self) -> Option<usize> {
        (self.cells > 0).then(|| self.ring_end() + self.spill as usize)
    }
}

pub(super) fn ring(map: &Map) -> Ring<'_> {
    let (words, end) = (map.shared_words(), Size::of(map).ring_end());
    Ring { head: &words[E_HEAD], tail: &words[E_TAIL], cells: &words[HEADER_WORDS..end] }
}

pub(super) fn spill_of<'a>(map: &'a Map, file: &'a File) -> Option<Spill<'a>> {
    let (words, size) = (map.shared_words(), Size::of(map));
    let commits = &words[size.ring_end()..];
    let (head, tail) = (&words[E_SPILL_HEAD], &words[E_SPILL_TAIL]);
    (size.spill > 0).then_some(Spill { head, tail, commits, file })
}

pub(super) fn word(map: &Map, index: usize) -> &AtomicU64 {
    &map.shared_words()[index]
}

pub(super) fn create(dir: &Path, size: Size) -> Result<(), OpenError> {
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
pub(super) fn fill(map: &Map) -> (u64, u64) {
    let waiting = |head, tail| {
        word(map, head).load(Ordering::Relaxed).saturating_sub(word(map, tail).load(Ordering::Relaxed))
    };
    let size = Size::of(map);
    let cells = u64::from(size.cells) + u64::from(size.spill);
    (cells, waiting(E_HEAD, E_TAIL).saturating_add(waiting(E_SPILL_HEAD, E_SPILL_TAIL)))
}
