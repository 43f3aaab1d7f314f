//! The lists of a table: of texts, of integers, of tables. A wrong item is reported with its index, the others are read.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::RangeInclusive;

use super::{Section, as_integer};
use crate::input::problem::Broken;
use crate::input::tree::Tree;

impl<'d> Section<'d> {
    /// A list of integers within `range`.
    pub(crate) fn integers(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<Vec<u64>> {
        self.items(key, |place, item| self.integer_at(place, item, range.clone()))
    }

    /// As [`Section::integers`], each of them once.
    pub(crate) fn set_of_integers(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<Vec<u64>> {
        let mut seen = HashSet::new();
        self.items(key, |place, item| {
            let value = self.integer_at(place.clone(), item, range.clone())?;
            self.first(place, seen.insert(value)).then_some(value)
        })
    }

    /// A list of texts, each of which `parse` accepts, each value once. With a wrong one the others are still read.
    pub(crate) fn set_of_texts<T: Clone + Eq + Hash, E: Into<Broken>>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let mut seen = HashSet::new();
        self.items(key, |place, item| {
            let Tree::Text(text) = item else {
                return self.source.wrong_type(place, "a text", item);
            };
            let value = parse(text).map_err(|rule| self.source.problem(place.clone(), rule)).ok()?;
            self.first(place, seen.insert(value.clone())).then_some(value)
        })
    }

    /// A list of tables (`[[key]]`), if it is there. At most `most`.
    pub(crate) fn sections(&self, key: &'static str, most: usize) -> Option<Vec<Section<'d>>> {
        let items = self.list(key)?;
        if items.len() > most {
            self.too_many(key, items.len(), most);
        }
        let read = items.iter().enumerate().filter_map(|(index, item)| match item {
            Tree::Table(table) => Some(Section::new(self.source, self.item(key, index), Some(table), None)),
            _ => self.source.wrong_type(self.item(key, index), "a table", item),
        });
        Some(read.collect())
    }

    /// Whether a list is there and has no item.
    pub(crate) fn is_empty_list(&self, key: &'static str) -> bool {
        self.list(key).is_some_and(<[Tree]>::is_empty)
    }

    /// Reports a list that is too long.
    pub(crate) fn too_many(&self, key: &str, count: usize, most: usize) {
        let rule = format!("has {count} entries; at most {most} are allowed");
        self.problem(key, Broken::new("too_many", rule));
    }

    /// The place of an item of a list of this table.
    pub(crate) fn item(&self, key: &str, index: usize) -> String {
        self.source.notation.index(&self.path_of(key), index)
    }

    fn list(&self, key: &'static str) -> Option<&'d [Tree]> {
        self.typed(key, "a list", |value| match value {
            Tree::List(items) => Some(items.as_slice()),
            _ => None,
        })
    }

    fn items<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(String, &'d Tree) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.list(key)?.iter().enumerate();
        Some(items.filter_map(|(index, item)| read(self.item(key, index), item)).collect())
    }

    fn integer_at(&self, place: String, item: &Tree, range: RangeInclusive<u64>) -> Option<u64> {
        match as_integer(item) {
            Some(value) => self.in_range(place, value, range),
            None => self.source.wrong_type(place, "an integer", item),
        }
    }

    fn first(&self, place: String, first: bool) -> bool {
        if !first {
            self.source.problem(place, Broken::new("duplicate", "is listed twice"));
        }
        first
    }
}
