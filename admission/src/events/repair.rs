//! Head and tail that cannot be: what a start of Kamailio makes of them.
//!
//! A tail past its head, or a head further ahead than there are cells, is damage from outside; a ring that kept it would
//! count as full for ever. Each whole record carries its own position, so the cells say where the head was. A tail that
//! cannot be goes back as far as the cells reach: what was read already is read again, and known by its id; nothing is lost.
//! Only for the one process that starts, before it forks.

use super::ring::{Cell, Cells};

/// Head and tail as they should be; `None` when they can be as they are.
pub(super) fn repaired(
    (tail, head): (u64, u64),
    capacity: u64,
    cells: &impl Cells,
    commit: impl Fn(u64) -> u64,
) -> Option<(u64, u64)> {
    if tail <= head && head - tail <= capacity {
        return None;
    }
    let position = |cell: u64| {
        let position = commit(cell).checked_sub(1).filter(|position| position % capacity == cell)?;
        matches!(cells.read(position), Cell::Payload(_)).then_some(position)
    };
    let head = (0..capacity).filter_map(position).max().map_or(0, |last| last.saturating_add(1));
    let oldest = head.saturating_sub(capacity);
    Some((if (oldest..=head).contains(&tail) { tail } else { oldest }, head))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::events::ring::{CELL_WORDS, Ring};
    use crate::sync::{AtomicU64, Ordering};

    const CELLS: u64 = 4;

    struct Memory {
        words: Vec<AtomicU64>,
        head: AtomicU64,
        tail: AtomicU64,
    }

    impl Memory {
        /// A ring through which so many records have gone, of which so many are read.
        fn after(pushed: u64, read: u64) -> Memory {
            let words = (0..CELLS as usize * CELL_WORDS).map(|_| AtomicU64::new(0)).collect();
            let memory = Memory { words, head: AtomicU64::new(0), tail: AtomicU64::new(0) };
            for position in 0..pushed {
                memory.tail.store((position + 1).saturating_sub(CELLS), Ordering::Relaxed);
                assert_eq!(memory.ring().reserve(), Some(position));
                memory.ring().fill(position).commit();
            }
            memory.tail.store(read, Ordering::Relaxed);
            memory
        }

        fn ring(&self) -> Ring<'_> {
            Ring { head: &self.head, tail: &self.tail, cells: &self.words }
        }

        fn repaired(&self) -> Option<(u64, u64)> {
            let commit = |cell: u64| self.words[cell as usize * CELL_WORDS].load(Ordering::Relaxed);
            let [tail, head] = [&self.tail, &self.head].map(|word| word.load(Ordering::Relaxed));
            repaired((tail, head), CELLS, &self.ring(), commit)
        }
    }

    #[test]
    fn what_can_be_stays() {
        for (pushed, read) in [(0, 0), (3, 0), (4, 0), (9, 5), (9, 9)] {
            assert_eq!(Memory::after(pushed, read).repaired(), None, "{pushed} pushed, {read} read");
        }
    }

    #[test]
    fn a_tail_that_cannot_be_goes_back_as_far_as_the_cells_reach() {
        for tail in [10, 11, 4, u64::MAX] {
            let memory = Memory::after(9, 7);
            memory.tail.store(tail, Ordering::Relaxed);
            assert_eq!(memory.repaired(), Some((5, 9)), "{tail}");
        }
    }

    #[test]
    fn a_head_that_cannot_be_is_told_by_the_cells() {
        for head in [0, 6, 12, u64::MAX] {
            let memory = Memory::after(9, 7);
            memory.head.store(head, Ordering::Relaxed);
            assert_eq!(memory.repaired(), Some((7, 9)), "{head}");
        }
    }

    #[test]
    fn only_whole_records_are_believed() {
        let memory = Memory::after(9, 20);
        // The newest cell claims a position that it does not hold.
        memory.words[0].store(u64::MAX - 2, Ordering::Relaxed);
        assert_eq!(memory.repaired(), Some((4, 8)));
        memory.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        assert_eq!(memory.repaired(), Some((0, 0)), "nothing is left to tell by");
    }
}
