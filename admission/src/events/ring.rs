//! The ring's protocol on plain slices of words: reserve, write, commit; read, acknowledge.
//!
//! A producer owns a cell from the moment it moved `head` past it until it commits. One that dies in between leaves a
//! hole: the consumer skips it once its epoch is over, and reads on past it until then. `tail` moves only over cells that
//! are consumed or lost, so no producer is ever handed a cell that another may still be writing to.

use std::cmp;
use std::collections::BTreeSet;

use crate::bytes::words_of;
use crate::crash;
use crate::hash::{RecordSum, record_sum};
use crate::map;
use crate::sync::{AtomicU64, Ordering, Site, at, swap};

/// Words in a cell: a kibibyte.
pub(crate) const CELL_WORDS: usize = if cfg!(loom) { 4 } else { 128 };
/// `position + 1` once the cell holds the record of that position.
const CELL_COMMIT: usize = 0;
/// Words of payload in the high half, check sum in the low half.
const CELL_LENGTH: usize = 1;
const CELL_PAYLOAD: usize = 2;
/// Most words of payload.
pub(crate) const PAYLOAD_WORDS: usize = CELL_WORDS - CELL_PAYLOAD;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the ring, at this position.
    At(u64),
    /// The ring is full; it is in the spill file, at this position.
    Spilled(u64),
    /// Ring and spill are full; the drop is counted.
    Full,
}

/// What a cell holds for the consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A committed record.
    Payload(Vec<u64>),
    /// A committed record whose sum does not agree.
    Damaged,
    /// Reserved, not committed.
    Hole,
    /// Its producer could not write it, and said so.
    GivenUp,
}

/// Cells that a consumer reads in order: the ring's, or the spill file's.
pub(crate) trait Cells {
    /// First position that is not consumed, and the first that is not reserved.
    fn bounds(&self) -> (u64, u64);
    /// What the cell of a position holds.
    fn read(&self, position: u64) -> Cell;
    /// Gives everything before this position back to the producers.
    fn set_tail(&self, tail: u64);
}

impl Cells for Ring<'_> {
    fn bounds(&self) -> (u64, u64) {
        let (tail, head) = (self.tail.load(Ordering::Relaxed), self.head.load(Ordering::Relaxed));
        (tail, head.min(tail.saturating_add(self.capacity())))
    }

    fn read(&self, position: u64) -> Cell {
        self.read_cell(position)
    }

    fn set_tail(&self, tail: u64) {
        self.tail.store(tail, Ordering::Release);
    }
}

/// Words of a cell that most records fit into.
const MOST_RECORDS: usize = 48;

/// The words that both sides share.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    /// Next position to reserve.
    pub(crate) head: &'a AtomicU64,
    /// First position that is not consumed.
    pub(crate) tail: &'a AtomicU64,
    pub(crate) cells: &'a [AtomicU64],
}

impl<'a> Ring<'a> {
    fn capacity(self) -> u64 {
        (self.cells.len() / CELL_WORDS) as u64
    }

    fn cell(self, position: u64) -> &'a [AtomicU64] {
        let at = (position % self.capacity()) as usize * CELL_WORDS;
        &self.cells[at..at + CELL_WORDS]
    }

    /// Producer: asks for the beginning of the cell that comes next, which holds most records.
    #[inline]
    pub(crate) fn prefetch(self) {
        let cell = self.cell(self.head.load(Ordering::Relaxed));
        (0..MOST_RECORDS).step_by(8).for_each(|word| map::prefetch_to_write(cell.get(word)));
    }

    /// Producer: takes a position, or finds the ring full.
    pub(crate) fn reserve(self) -> Option<u64> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // With the release store of `tail`: the consumer has read the cell that we may overwrite.
            let tail = self.tail.load(Ordering::Acquire);
            if head.wrapping_sub(tail) >= self.capacity() {
                // `head` may be older than `tail`; a fresh look tells "full" from "late".
                let fresh = self.head.load(Ordering::Relaxed);
                if fresh == head {
                    return None;
                }
                head = fresh;
                continue;
            }
            match swap(Site::HeadSwap, self.head, head, head.wrapping_add(1), Ordering::Relaxed) {
                Ok(_) => return Some(head),
                Err(current) => head = current,
            }
        }
    }

    /// Producer: begins to fill the cell of its position.
    pub(crate) fn fill(self, position: u64) -> Filling<'a> {
        crash::point("ring.reserved");
        Filling { cell: self.cell(position), position, used: CELL_PAYLOAD, sum: RecordSum::new(position) }
    }

    /// Consumer: what the cell of a position holds.
    fn read_cell(self, position: u64) -> Cell {
        let cell = self.cell(position);
        if cell[CELL_COMMIT].load(at(Site::CommitLoad, Ordering::Acquire)) != position.wrapping_add(1) {
            return Cell::Hole;
        }
        let length = cell[CELL_LENGTH].load(Ordering::Relaxed);
        let count = (length >> 32) as usize;
        if count > PAYLOAD_WORDS {
            return Cell::Damaged;
        }
        let payload: Vec<u64> = cell[CELL_PAYLOAD..CELL_PAYLOAD + count]
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect();
        let whole = record_sum(position, payload.iter().copied()) == length as u32;
        if whole { Cell::Payload(payload) } else { Cell::Damaged }
    }
}

/// A cell being filled. Dropped before [`Filling::commit`], it stays a hole.
pub(crate) struct Filling<'a> {
    cell: &'a [AtomicU64],
    position: u64,
    used: usize,
    /// Of what was written, not of what the cell holds.
    sum: RecordSum,
}

impl Filling<'_> {
    /// Appends words of payload; none of them if they do not all fit.
    #[inline]
    pub(crate) fn words<const N: usize>(&mut self, values: [u64; N]) {
        let Some(cell) = self.cell.get(self.used..).and_then(|left| left.first_chunk::<N>()) else { return };
        for (word, value) in cell.iter().zip(values) {
            self.put(word, value);
        }
        self.used += N;
    }

    #[inline]
    fn put(&mut self, word: &AtomicU64, value: u64) {
        word.store(value, Ordering::Relaxed);
        self.sum.add(value);
        crash::point("ring.word");
    }

    /// Appends a string: its length in bytes, then the bytes in whole words, the last one padded with zeros; nothing of it
    /// if it does not fit.
    #[inline]
    pub(crate) fn text(&mut self, text: &[u8]) {
        let (whole, last) = words_of(text);
        let count = 1 + whole.len() + usize::from(last.is_some());
        let Some(cell) = self.cell.get(self.used..).and_then(|left| left.get(..count)) else { return };
        let (length, words) = cell.split_at(1);
        self.put(&length[0], text.len() as u64);
        for (word, chunk) in words.iter().zip(whole) {
            self.put(word, u64::from_le_bytes(*chunk));
        }
        if let (Some(value), Some(word)) = (last, words.last()) {
            self.put(word, value);
        }
        self.used += count;
    }

    /// Hands the record over to the consumer.
    #[inline]
    pub(crate) fn commit(self) {
        let count = self.used - CELL_PAYLOAD;
        let sum = u64::from(self.sum.finish(count));
        self.cell[CELL_LENGTH].store((count as u64) << 32 | sum, Ordering::Relaxed);
        crash::point("ring.length");
        let commit = self.position.wrapping_add(1);
        self.cell[CELL_COMMIT].store(commit, at(Site::CommitStore, Ordering::Release));
        crash::point("ring.committed");
    }
}

/// The consumer's own memory: which positions past `tail` it is done with.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: BTreeSet<u64>,
}

impl Progress {
    /// Positions that were committed and not yet acknowledged, in order, with what is lost: holes below `dead_below`.
    pub(crate) fn poll<'a>(
        &'a self,
        cells: &'a impl Cells,
        dead_below: u64,
        max: usize,
    ) -> impl Iterator<Item = (u64, Cell)> + 'a {
        let (tail, head) = cells.bounds();
        (tail..head)
            .filter(|position| !self.done.contains(position))
            .map(|position| (position, cells.read(position)))
            .filter(move |(position, cell)| *cell != Cell::Hole || *position < dead_below)
            .take(max)
    }

    /// Marks positions as consumed and moves the tail over as many as are.
    pub(crate) fn acknowledge(&mut self, cells: &impl Cells, positions: impl IntoIterator<Item = u64>) {
        let (mut tail, _) = cells.bounds();
        // Nearly all come in order, and nothing has to be remembered of them.
        for position in positions {
            match position.cmp(&tail) {
                cmp::Ordering::Less => {}
                cmp::Ordering::Equal => tail = tail.wrapping_add(1),
                cmp::Ordering::Greater => _ = self.done.insert(position),
            }
        }
        self.done.retain(|&position| position >= tail);
        while self.done.remove(&tail) {
            tail = tail.wrapping_add(1);
        }
        cells.set_tail(tail);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Words {
        head: AtomicU64,
        tail: AtomicU64,
        cells: Vec<AtomicU64>,
    }

    impl Words {
        fn new(cells: usize) -> Words {
            let zero = || AtomicU64::new(0);
            Words { head: zero(), tail: zero(), cells: (0..cells * CELL_WORDS).map(|_| zero()).collect() }
        }

        fn ring(&self) -> Ring<'_> {
            Ring { head: &self.head, tail: &self.tail, cells: &self.cells }
        }
    }

    fn push(ring: Ring<'_>, value: u64) -> Option<u64> {
        let position = ring.reserve()?;
        write(ring, position, value);
        Some(position)
    }

    fn write(ring: Ring<'_>, position: u64, value: u64) {
        let mut cell = ring.fill(position);
        cell.words([value, value]);
        cell.commit();
    }

    fn poll(progress: &Progress, ring: Ring<'_>, dead_below: u64) -> Vec<(u64, Cell)> {
        progress.poll(&ring, dead_below, usize::MAX).collect()
    }

    #[test]
    fn records_come_out_in_order_and_a_full_ring_says_so() {
        let words = Words::new(4);
        let (ring, mut progress) = (words.ring(), Progress::default());
        for round in 0..10 {
            for value in 0..4 {
                assert_eq!(push(ring, value), Some(round * 4 + value));
            }
            assert_eq!(push(ring, 9), None);
            let polled = poll(&progress, ring, 0);
            let expected: Vec<_> = (0..4).map(|v| (round * 4 + v, Cell::Payload(vec![v, v]))).collect();
            assert_eq!(polled, expected);
            assert_eq!(poll(&progress, ring, 0), expected, "polling consumes nothing");
            progress.acknowledge(&ring, polled.into_iter().map(|(position, _)| position));
        }
    }

    #[test]
    fn a_hole_is_read_past_until_it_is_filled_or_its_epoch_is_over() {
        let words = Words::new(4);
        let (ring, mut progress) = (words.ring(), Progress::default());
        push(ring, 0);
        let (late, dead) = (ring.reserve().unwrap(), ring.reserve().unwrap());
        push(ring, 3);
        let seen: Vec<u64> = poll(&progress, ring, 0).into_iter().map(|(position, _)| position).collect();
        assert_eq!(seen, [0, 3]);
        progress.acknowledge(&ring, seen);
        assert_eq!(words.tail.load(Ordering::Relaxed), 1, "the tail stays before the hole");
        assert_eq!(push(ring, 4), Some(4), "only what is before the hole is free again");
        assert_eq!(push(ring, 5), None);
        write(ring, late, 1);
        assert_eq!(poll(&progress, ring, 0).len(), 2);
        let polled = poll(&progress, ring, dead + 1);
        assert_eq!(polled[1], (dead, Cell::Hole), "an epoch's end makes it lost");
        progress.acknowledge(&ring, polled.into_iter().map(|(position, _)| position));
        assert_eq!(words.tail.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_damaged_record_is_told_from_a_good_one() {
        let words = Words::new(2);
        let ring = words.ring();
        push(ring, 7);
        words.cells[CELL_PAYLOAD].fetch_xor(1, Ordering::Relaxed);
        assert_eq!(ring.read(0), Cell::Damaged);
        words.cells[CELL_LENGTH].store(u64::MAX, Ordering::Relaxed);
        assert_eq!(ring.read(0), Cell::Damaged);
    }
}
