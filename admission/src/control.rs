//! The control file: which images are in force, named by one word.
//!
//! Written by the one publisher, read by everybody. A reader loads [`Pair`] with acquire ordering; the publisher stores it
//! with release ordering after the images are complete, so whoever sees a pair can read what it names.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::crash;
use crate::error::OpenError;
use crate::map::{FILE_MODE, Map, wall_ms};
use crate::sync::{AtomicU64, Ordering, Site, at};

pub(crate) const FILE: &str = "control";
const MAGIC: u64 = u64::from_le_bytes(*b"TRNKCTL1");
const LAYOUT: u64 = 1 << 32 | WORDS as u64;
const WORDS: usize = 64;
const C_MAGIC: usize = 0;
const C_LAYOUT: usize = 1;
const C_PAIR: usize = 8;
const C_REVISION: usize = 16;
const C_PUBLISHED_MS: usize = 17;
const C_HEARTBEAT_MS: usize = 24;

/// The images in force: a base, and an overlay on it or 0. `Pair(0)` names nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair(pub(crate) u64);

impl Pair {
    pub(crate) fn new(base: u32, overlay: u32) -> Pair {
        Pair(u64::from(base) << 32 | u64::from(overlay))
    }

    pub(crate) fn base(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn overlay(self) -> u32 {
        self.0 as u32
    }

    /// Names these images in `word`: whoever loads it can read them.
    pub(crate) fn store(self, word: &AtomicU64) {
        word.store(self.0, at(Site::PairStore, Ordering::Release));
    }

    /// What `word` names.
    #[inline]
    pub(crate) fn load(word: &AtomicU64) -> Pair {
        Pair(word.load(at(Site::PairLoad, Ordering::Acquire)))
    }

    /// The newer of both numbers: the generation that a decision reports.
    pub(crate) fn generation(self) -> u32 {
        self.base().max(self.overlay())
    }
}

/// Name of the image with this number.
pub(crate) fn image_file(generation: u32) -> String {
    format!("table-{generation}")
}

/// The right to make files in the directory, until it is dropped.
fn lock_directory(dir: &Path) -> Result<File, OpenError> {
    let file = File::open(dir).map_err(|error| OpenError::io(dir, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(dir, error)),
    }
}

/// The control file, mapped.
#[derive(Debug)]
pub(crate) struct Control(Map);

impl Control {
    /// For readers.
    pub(crate) fn open(dir: &Path) -> Result<Control, OpenError> {
        let path = dir.join(FILE);
        let map = Map::open_read_only(&path).map_err(|error| OpenError::io(&path, error))?;
        Control::checked(map, &path)
    }

    /// For the publisher, which must hold the lock that [`Control::lock`] takes.
    pub(crate) fn open_writable(dir: &Path) -> Result<Control, OpenError> {
        let path = dir.join(FILE);
        let map = Map::open_shared(&path).map_err(|error| OpenError::io(&path, error))?;
        Control::checked(map, &path)
    }

    /// Makes the file aside and gives it its name only when it is complete. One that is there stays: two publishers that
    /// start at the same instant must mean the same file, or each would hold a lock of its own.
    pub(crate) fn create(dir: &Path) -> Result<(), OpenError> {
        let (aside, path) = (dir.join("control.new"), dir.join(FILE));
        let io = |error| OpenError::io(&path, error);
        let _alone = lock_directory(dir)?;
        if path.exists() {
            return Ok(());
        }
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let map = Map::create(&aside, WORDS, FILE_MODE).map_err(io)?;
        crash::point("control.made");
        map.shared_words()[C_LAYOUT].store(LAYOUT, Ordering::Relaxed);
        crash::point("control.layout");
        map.shared_words()[C_MAGIC].store(MAGIC, Ordering::Release);
        crash::point("control.magic");
        std::fs::rename(&aside, &path).map_err(io)?;
        crash::point("control.renamed");
        Ok(())
    }

    fn checked(map: Map, path: &Path) -> Result<Control, OpenError> {
        if map.acquire(C_MAGIC) != MAGIC {
            return Err(OpenError::Foreign { path: path.to_owned(), what: "control" });
        }
        let found = map.acquire(C_LAYOUT);
        if found != LAYOUT {
            return Err(OpenError::OtherLayout { path: path.to_owned(), found, wanted: LAYOUT });
        }
        if map.words().len() < WORDS {
            return Err(OpenError::Damaged { path: path.to_owned(), fault: "it is too short" });
        }
        Ok(Control(map))
    }

    /// Takes the right to write, for as long as this mapping lives. The name must still stand for the file that is
    /// locked: a lock on one that was replaced is worth nothing.
    pub(crate) fn lock(&self, dir: &Path) -> Result<(), OpenError> {
        let path = dir.join(FILE);
        let io = |error| OpenError::io(&path, error);
        if !self.0.try_lock().map_err(io)? {
            return Err(OpenError::InUse { path });
        }
        let named = std::fs::metadata(&path).map_err(io)?.ino();
        if named == self.0.inode().map_err(io)? { Ok(()) } else { Err(OpenError::InUse { path }) }
    }

    /// What is in force.
    #[inline]
    pub(crate) fn pair(&self) -> Pair {
        Pair::load(self.0.atomic(C_PAIR))
    }

    /// Names images that are complete. The one store that makes a change real.
    pub(crate) fn name(&self, pair: Pair, revision: u64) {
        self.word(C_REVISION).store(revision, Ordering::Relaxed);
        crash::point("control.revision");
        self.word(C_PUBLISHED_MS).store(wall_ms(), Ordering::Relaxed);
        crash::point("control.time");
        pair.store(self.word(C_PAIR));
        crash::point("control.named");
    }

    pub(crate) fn heartbeat(&self, wall_ms: u64) {
        self.word(C_HEARTBEAT_MS).store(wall_ms, Ordering::Relaxed);
    }

    pub(crate) fn heartbeat_ms(&self) -> u64 {
        self.0.words().at(C_HEARTBEAT_MS)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.0.shared_words()[index]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_on_a_file_that_was_replaced_is_worth_nothing() {
        let dir = tempfile::tempdir().unwrap();
        Control::create(dir.path()).unwrap();
        let opened = Control::open_writable(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        Control::create(dir.path()).unwrap();
        assert!(matches!(opened.lock(dir.path()), Err(OpenError::InUse { .. })));
        assert!(Control::open_writable(dir.path()).unwrap().lock(dir.path()).is_ok());
    }

    #[test]
    fn a_file_that_is_there_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        Control::create(dir.path()).unwrap();
        let first = Control::open_writable(dir.path()).unwrap();
        Control::create(dir.path()).unwrap();
        assert!(first.lock(dir.path()).is_ok(), "its name still stands for it");
    }
}
