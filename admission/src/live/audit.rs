//! Counts compared with the slots that they count, and set right, while calls come and go.
//!
//! What a count is too large by (its *drift*) is moved by defects alone: every call is in the count and in its slot, but for
//! the moments in which it enters or leaves. So two looks at all tags with the count read in between bound the drift: the
//! slots that stand in both are in the count, those that moved may be. Further looks narrow the bounds until they meet,
//! and then the count is corrected by exactly that much. Never by more than is certain: a limit is not lowered and not
//! lost because calls moved meanwhile. For the daemon alone, and never at the same time as it takes slots back.

use std::collections::{HashMap, HashSet};

use super::count::CountWord;
use super::layout::{B_EPOCH, B_OWNERS, B_STEP};
use super::slots::{SlotState, Slots};
use super::sweep::UNCOUNTED;
use super::tag::Tag;
use crate::sync::{Ordering, Site, fence_at};

/// A count: what it counts calls of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Count {
    /// The whole node: the slots in use.
    Node,
    /// The account with this `live` index.
    Account(u32),
    /// The trunk with this `live` index.
    Trunk(u32),
}

/// What a slot says of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// Its call is in none.
    Nowhere,
    /// Its call is in those of these owners.
    In(u64),
    /// Its call may be in those of these owners.
    Perhaps(u64),
    /// It may be in anybody's.
    Anywhere,
}

/// What is known of a drift: its bounds, and how many takes there were when the count was last read.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: i64,
    most: i64,
    taken: Option<u32>,
}

/// The counts of one epoch, under audit.
pub(crate) struct Audit<'a, F> {
    slots: Slots<'a>,
    epoch: u64,
    word: F,
    seen: Vec<Tag>,
    stands: HashMap<u32, Stands>,
    /// Slots that must be looked at again even if their tag stands still.
    vague: HashSet<u32>,
    /// How many slots stand in each count.
    counted: HashMap<Count, i64>,
    open: HashMap<Count, Bounds>,
    settled: Vec<(Count, i64)>,
}

/// The counts that a call of these owners is in.
fn counts_of(owners: u64) -> impl Iterator<Item = Count> {
    let account = Some(owners as u32).filter(|&live| live != u32::MAX).map(Count::Account);
    [Some(Count::Trunk((owners >> 32) as u32)), account, Some(Count::Node)].into_iter().flatten()
}

impl<'a, F: Fn(Count) -> Option<CountWord<'a>>> Audit<'a, F> {
    /// Takes the first look. `word` finds a count's word.
    pub(crate) fn begin(slots: Slots<'a>, epoch: u64, word: F) -> Audit<'a, F> {
        let mut audit = Audit {
            slots,
            epoch,
            word,
            seen: Vec::with_capacity(slots.tags.len()),
            stands: HashMap::new(),
            vague: HashSet::new(),
            counted: HashMap::new(),
            open: HashMap::new(),
            settled: Vec::new(),
        };
        for index in 0..slots.tags.len() as u32 {
            let (tag, stands) = audit.look_at(index);
            audit.seen.push(tag);
            audit.take_note(index, stands);
        }
        audit
    }

    /// Adds a count to those whose drift is wanted.
    pub(crate) fn open(&mut self, count: Count) {
        self.open.insert(count, Bounds { least: i64::MIN, most: i64::MAX, taken: None });
    }

    /// Whether any slot stands in a count.
    pub(crate) fn has(&self, count: Count) -> bool {
        self.counted.get(&count).is_some_and(|&slots| slots > 0)
    }

    /// Whether every drift that was wanted is known.
    pub(crate) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// The drifts that are known, and how many are not.
    pub(crate) fn finish(self) -> (Vec<(Count, i64)>, usize) {
        (self.settled, self.open.len())
    }

    /// Reads the counts that are wanted, then looks at all slots again.
    pub(crate) fn round(&mut self) {
        let read: Vec<(Count, (u32, u32))> =
            self.open.keys().filter_map(|&count| Some((count, (self.word)(count)?.read()))).collect();
        // Calls that were being judged when the last look was taken.
        let judged = self.stands.values().filter(|&&stands| stands == Stands::Anywhere).count() as i64;
        let (moved, anywhere) = self.look_again();
        for (count, (value, taken)) in read {
            let Some(bounds) = self.open.get_mut(&count) else { continue };
            // A call that left no trace but a use number, and is in this count, was taken since the last reading or was
            // being judged at the last look: a flood of calls that a limit refuses hides nothing.
            let hidden = bounds
                .taken
                .map_or(anywhere, |before| anywhere.min(judged + i64::from(CountWord::takes(before, taken))));
            bounds.taken = Some(taken);
            let (moved, came) = moved.get(&count).copied().unwrap_or_default();
            // `counted` is by now what the second look saw: without those that came, it is what stood in both.
            let standing = self.counted.get(&count).copied().unwrap_or_default() - came;
            let most = i64::from(value) - standing;
            let least = most - moved - hidden;
            // What contradicts itself was moved by a defect in between: it begins anew.
            let anew = least > bounds.most || most < bounds.least;
            bounds.least = if anew { least } else { bounds.least.max(least) };
            bounds.most = if anew { most } else { bounds.most.min(most) };
            if bounds.least == bounds.most {
                self.settled.push((count, bounds.most));
                self.open.remove(&count);
            }
        }
    }

    /// Looks at all slots. Answers for each count how many slots moved that it may count, and how many of them stand in
    /// it now; and how many moved that any count may count.
    fn look_again(&mut self) -> (HashMap<Count, (i64, i64)>, i64) {
        let (mut moved, mut anywhere): (HashMap<Count, (i64, i64)>, _) = (HashMap::new(), 0);
        for index in 0..self.seen.len() as u32 {
            let old = self.seen[index as usize];
            if self.slots.tag(index as usize) == old
                && (self.vague.is_empty() || !self.vague.contains(&index))
            {
                continue;
            }
            let before = self.stands.get(&index).copied().unwrap_or(Stands::Nowhere);
            let (tag, after) = self.look_at(index);
            self.seen[index as usize] = tag;
            self.take_note(index, after);
            if tag.used() == old.used() && before == after && matches!(after, Stands::In(_)) {
                continue; // it was answered
            }
            for (stands, came) in [(before, 0), (after, 1)] {
                match stands {
                    Stands::Nowhere => {}
                    Stands::Anywhere => anywhere += 1,
                    Stands::In(owners) | Stands::Perhaps(owners) => counts_of(owners).for_each(|count| {
                        let entry = moved.entry(count).or_default();
                        entry.0 += 1;
                        entry.1 += i64::from(came == 1 && matches!(stands, Stands::In(_)));
                    }),
                }
            }
            // Uses that began and ended in between have left no other trace.
            let uses = tag.used().wrapping_sub(old.used());
            let seen_uses = u32::from(old.used() != tag.used() && after != Stands::Nowhere);
            anywhere += i64::from(uses > seen_uses);
        }
        (moved, anywhere)
    }

    /// What a slot says now, its body read while its tag stood still.
    fn look_at(&self, index: u32) -> (Tag, Stands) {
        let tag = self.slots.tag(index as usize);
        let word = |word| self.slots.body(index, word).map_or(0, |word| word.load(Ordering::Relaxed));
        let stands = match tag.state() {
            None | Some(SlotState::Free | SlotState::Lost) => return (tag, Stands::Nowhere),
            Some(SlotState::Taking) => return (tag, Stands::Anywhere),
            Some(_) if word(B_EPOCH) != self.epoch => Stands::Nowhere,
            Some(SlotState::Ringing | SlotState::Answered) => Stands::In(word(B_OWNERS)),
            Some(SlotState::Ending) => Stands::Perhaps(word(B_OWNERS)),
            // Only we move these: in all counts, in none, or on the way.
            Some(SlotState::Reclaiming) => match word(B_STEP) {
                0 => Stands::In(word(B_OWNERS)),
                UNCOUNTED => Stands::Nowhere,
                _ => Stands::Perhaps(word(B_OWNERS)),
            },
        };
        fence_at(Site::KeyLoadFence, Ordering::Acquire);
        if self.slots.tag(index as usize) == tag { (tag, stands) } else { (tag, Stands::Anywhere) }
    }

    fn take_note(&mut self, index: u32, stands: Stands) {
        let before = match stands {
            Stands::Nowhere => self.stands.remove(&index),
            _ => self.stands.insert(index, stands),
        };
        if matches!(stands, Stands::Perhaps(_) | Stands::Anywhere) {
            self.vague.insert(index);
        } else {
            self.vague.remove(&index);
        }
        for (stands, by) in [(before, -1), (Some(stands), 1)] {
            if let Some(Stands::In(owners)) = stands {
                counts_of(owners).for_each(|count| *self.counted.entry(count).or_default() += by);
            }
        }
    }
}

/// What a worker writes of its call before it counts it; the models have no [`super::Live`].
#[cfg(all(test, loom))]
pub(crate) fn write_body(slots: Slots<'_>, index: u32, epoch: u64, owners: u64) {
    for (word, value) in [(B_EPOCH, epoch), (B_OWNERS, owners), (B_STEP, 0)] {
        if let Some(word) = slots.body(index, word) {
            word.store(value, Ordering::Relaxed);
        }
    }
}
