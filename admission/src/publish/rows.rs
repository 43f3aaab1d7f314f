//! Rows of one kind in the order of their ids, and what of them changed. The heap's side of a base image.
//!
//! A row is shared, never copied, between a base and the one that is folded from it. Knows nothing of images.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Account, Trunk};

/// A thing with an id and a `live` index, each unique among its kind.
pub(super) trait Row: Clone + PartialEq {
    fn id(&self) -> &str;
    fn live(&self) -> u32;
}

impl Row for Trunk {
    fn id(&self) -> &str {
        &self.id
    }

    fn live(&self) -> u32 {
        self.live
    }
}

impl Row for Account {
    fn id(&self) -> &str {
        &self.id
    }

    fn live(&self) -> u32 {
        self.live
    }
}

/// A row that is not as the base has it.
#[derive(Clone, Debug)]
pub(super) struct Difference<T> {
    /// What the base has.
    pub(super) before: Option<Arc<T>>,
    /// What it is now; `None` when it is gone.
    pub(super) now: Option<Arc<T>>,
}

/// By id: what is not as the base has it.
pub(super) type Changed<T> = BTreeMap<String, Difference<T>>;

/// Rows that never change, found by id and by `live` index.
#[derive(Debug)]
pub(super) struct Rows<T> {
    by_id: Vec<Arc<T>>,
    /// `live` index and place in the other list.
    by_live: Vec<(u32, u32)>,
}

impl<T: Row> Rows<T> {
    /// Rows with distinct ids and `live` indexes, in any order.
    pub(super) fn new(mut rows: Vec<Arc<T>>) -> Rows<T> {
        if !rows.is_sorted_by(|a, b| a.id() < b.id()) {
            rows.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        }
        let mut by_live: Vec<(u32, u32)> = (0..).zip(&rows).map(|(index, row)| (row.live(), index)).collect();
        by_live.sort_unstable();
        Rows { by_id: rows, by_live }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<T>> {
        let index = self.by_id.binary_search_by(|row| row.id().cmp(id)).ok()?;
        self.by_id.get(index)
    }

    pub(super) fn with_live(&self, live: u32) -> Option<&Arc<T>> {
        let found = self.by_live.binary_search_by_key(&live, |&(live, _)| live).ok()?;
        self.by_id.get(self.by_live[found].1 as usize)
    }

    /// What `id` is after `changed`.
    pub(super) fn now<'a>(&'a self, changed: &'a Changed<T>, id: &str) -> Option<&'a Arc<T>> {
        changed.get(id).map_or_else(|| self.get(id), |row| row.now.as_ref())
    }

    /// The rows that are there after `new`, and were not the same before, after `old`.
    pub(super) fn since<'a>(
        &'a self,
        old: &'a Changed<T>,
        new: &'a Changed<T>,
    ) -> impl Iterator<Item = &'a T> {
        let undone = old.keys().filter(|&id| !new.contains_key(id)).filter_map(|id| self.get(id));
        let done = new.iter().filter_map(|(id, row)| {
            let now = row.now.as_ref()?;
            let same = old.get(id).and_then(|row| row.now.as_ref()).is_some_and(|old| Arc::ptr_eq(old, now));
            (!same).then_some(now)
        });
        undone.chain(done).map(Arc::as_ref)
    }

    /// Notes that `id` is now `row`; forgets it when that is what stands here.
    pub(super) fn note(&self, changed: &mut Changed<T>, id: &str, row: Option<Arc<T>>) {
        let known = changed.remove(id).map(|row| row.before);
        let before = known.unwrap_or_else(|| self.get(id).cloned());
        if before != row {
            changed.insert(id.to_owned(), Difference { before, now: row });
        }
    }

    /// What of `rows`, in any order, is not as it is here; `None` when an id is there twice.
    pub(super) fn difference(&self, rows: &[T]) -> Option<Changed<T>> {
        let mut sorted: Vec<&T> = rows.iter().collect();
        if !sorted.is_sorted_by(|a, b| a.id() < b.id()) {
            sorted.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        }
        let mut changed = Changed::new();
        let mut here = self.by_id.iter().peekable();
        let mut last = None;
        for row in sorted {
            if last.replace(row.id()) == Some(row.id()) {
                return None;
            }
            while let Some(gone) = here.next_if(|old| old.id() < row.id()) {
                changed
                    .insert(gone.id().to_owned(), Difference { before: Some(Arc::clone(gone)), now: None });
            }
            let before = here.next_if(|old| old.id() == row.id());
            if before.is_none_or(|old| **old != *row) {
                let difference = Difference { before: before.cloned(), now: Some(Arc::new(row.clone())) };
                changed.insert(row.id().to_owned(), difference);
            }
        }
        for gone in here {
            changed.insert(gone.id().to_owned(), Difference { before: Some(Arc::clone(gone)), now: None });
        }
        Some(changed)
    }

    /// All rows after `changed`, in order.
    pub(super) fn merged(&self, changed: &Changed<T>) -> Vec<Arc<T>> {
        let mut rows = Vec::with_capacity(self.len() + changed.len());
        let mut here = self.by_id.iter().peekable();
        for (id, row) in changed {
            while let Some(kept) = here.next_if(|old| old.id() < id.as_str()) {
                rows.push(Arc::clone(kept));
            }
            here.next_if(|old| old.id() == id);
            rows.extend(row.now.clone());
        }
        rows.extend(here.cloned());
        rows
    }

    /// How many rows there are after `changed`.
    pub(super) fn count(&self, changed: &Changed<T>) -> usize {
        let before = changed.values().filter(|row| row.before.is_some()).count();
        let now = changed.values().filter(|row| row.now.is_some()).count();
        self.len() - before + now
    }
}
