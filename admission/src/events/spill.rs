//! Where events go while the ring is full: a bounded file beside it, written with system calls, read in order.
//!
//! Not mapped, because a page that memory cannot back would be a SIGBUS in a worker; a write that fails is a counted
//! drop. Positions and commit words are in the `events` file, so a reader sees a record only when it is complete. Once
//! the ring was full, every event goes here until both are drained: so events stay in order. The last eighth of the
//! file is kept for records that nothing else could tell: an `answered` is dropped first, its call's ending knows it.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::codec::Sink;
use super::event::EventOut;
use super::ring::{CELL_WORDS, Cell, Cells, PAYLOAD_WORDS};
use crate::crash;
use crate::hash::record_sum;
use crate::map::{BOTH_WRITE_MODE, WORD};
use crate::sync::{AtomicU64, Ordering};

/// The file's name.
pub(super) const FILE: &str = "events-spill";
const CELL_BYTES: usize = CELL_WORDS * WORD;
/// Set in a commit word whose record could not be written.
const GIVEN_UP: u64 = 1 << 63;

/// Makes the file if it is not there, or opens it.
pub(super) fn open(dir: &Path) -> io::Result<File> {
    let path = dir.join(FILE);
    match OpenOptions::new().read(true).write(true).create_new(true).mode(BOTH_WRITE_MODE).open(&path) {
        Ok(file) => {
            // The mode is what was asked for, whatever the process's umask.
            file.set_permissions(Permissions::from_mode(BOTH_WRITE_MODE))?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(&path)
        }
        Err(error) => Err(error),
    }
}

/// The file with its words.
#[derive(Clone, Copy)]
pub(super) struct Spill<'a> {
    pub(super) head: &'a AtomicU64,
    pub(super) tail: &'a AtomicU64,
    /// One for each cell: `position + 1` once the record of that position is in the file.
    pub(super) commits: &'a [AtomicU64],
    pub(super) file: &'a File,
}

impl Spill<'_> {
    fn capacity(self) -> u64 {
        self.commits.len() as u64
    }

    /// Takes a position below `limit` waiting records.
    fn reserve(self, limit: u64) -> Option<u64> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let tail = self.tail.load(Ordering::Acquire);
            if head.saturating_sub(tail) >= limit {
                return None;
            }
            let next = head.wrapping_add(1);
            match self.head.compare_exchange_weak(head, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(head),
                Err(current) => head = current,
            }
        }
    }

    /// Appends an event; `None` when there is no room for its kind, or no memory for the file.
    pub(super) fn push(self, event: &EventOut<'_>, dropped: u64) -> Option<u64> {
        let kept_back = if event.can_be_rebuilt() { self.capacity() / 8 } else { 0 };
        let position = self.reserve(self.capacity() - kept_back)?;
        crash::point("spill.reserved");
        let mut cell = Buffer { bytes: [0; CELL_BYTES], used: WORD };
        cell.words([dropped]);
        event.encode(&mut cell);
        let sum = record_sum(position, words(&cell.bytes[WORD..cell.used]));
        let length = ((cell.used / WORD - 1) as u64) << 32 | u64::from(sum);
        cell.bytes[..WORD].copy_from_slice(&length.to_le_bytes());
        let at = position % self.capacity();
        let written = self.file.write_all_at(&cell.bytes[..cell.used], at * CELL_BYTES as u64);
        crash::point("spill.written");
        let commit = position.wrapping_add(1) | if written.is_ok() { 0 } else { GIVEN_UP };
        self.commits[at as usize].store(commit, Ordering::Release);
        crash::point("spill.committed");
        written.is_ok().then_some(position)
    }
}

impl Cells for Spill<'_> {
    fn bounds(&self) -> (u64, u64) {
        let tail = self.tail.load(Ordering::Relaxed);
        let head = self.head.load(Ordering::Relaxed);
        (tail, head.min(tail.saturating_add(self.capacity())))
    }

    fn read(&self, position: u64) -> Cell {
        let at = position % self.capacity();
        let commit = self.commits[at as usize].load(Ordering::Acquire);
        if commit & !GIVEN_UP != position.wrapping_add(1) & !GIVEN_UP {
            return Cell::Hole;
        }
        if commit & GIVEN_UP != 0 {
            return Cell::GivenUp;
        }
        let mut bytes = [0; CELL_BYTES];
        let from = at * CELL_BYTES as u64;
        // The last record of the file may be shorter than a cell.
        let read = self.file.read_at(&mut bytes, from).unwrap_or(0);
        let mut words = words(&bytes[..read]);
        let length = words.next().unwrap_or(u64::MAX);
        let count = (length >> 32) as usize;
        let payload: Vec<u64> = words.take(count).collect();
        let sum = record_sum(position, payload.iter().copied());
        let whole = count <= PAYLOAD_WORDS && payload.len() == count && sum == length as u32;
        if whole { Cell::Payload(payload) } else { Cell::Damaged }
    }

    fn set_tail(&self, tail: u64) {
        self.tail.store(tail, Ordering::Release);
    }
}

/// Bytes as words; a rest is left out.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<WORD>().0.iter().map(|word| u64::from_le_bytes(*word))
}

/// A record on the stack, before it is written with one call.
struct Buffer {
    bytes: [u8; CELL_BYTES],
    used: usize,
}

impl Sink for Buffer {
    fn words<const N: usize>(&mut self, words: [u64; N]) {
        if let Some(places) = self.bytes.get_mut(self.used..self.used + N * WORD) {
            for (place, word) in places.chunks_exact_mut(WORD).zip(words) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            self.used += N * WORD;
        }
    }

    fn text(&mut self, text: &[u8]) {
        let padded = text.len().next_multiple_of(WORD);
        if self.used + WORD + padded > self.bytes.len() {
            return;
        }
        self.words([text.len() as u64]);
        self.bytes[self.used..self.used + text.len()].copy_from_slice(text);
        self.used += padded;
    }
}
