//! The lists of a table: of texts, of integers, of tables. A wrong item is reported with its index, the others are read.

use std::ops::RangeInclusive;

use super::{Section, as_integer};
use crate::input::problem::Broken;
use crate::input::tree::Tree;

impl<'d> Section<'d> {
    /// A list of texts, each of which `parse` accepts. With a wrong one the others are still read.
    pub(crate) fn texts<T, E: Into<Broken>>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.list(key)?.iter().enumerate();
        let read = items.filter_map(|(index, item)| match item {
            Tree::Text(text) => {
                parse(text).map_err(|rule| self.source.problem(self.item(key, index), rule)).ok()
            }
            _ => self.wrong_type(self.item(key, index), "a text", item),
        });
        Some(read.collect())
    }

    /// A list of integers within `range`.
    pub(crate) fn integers(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<Vec<u64>> {
        let items = self.list(key)?.iter().enumerate();
        let read = items.filter_map(|(index, item)| match as_integer(item) {
            Some(value) => self.in_range(self.item(key, index), value, range.clone()),
            None => self.wrong_type(self.item(key, index), "an integer", item),
        });
        Some(read.collect())
    }

    /// A list of tables (`[[key]]`), if it is there. At most `most`.
    pub(crate) fn sections(&self, key: &'static str, most: usize) -> Option<Vec<Section<'d>>> {
        let items = self.list(key)?;
        if items.len() > most {
            self.too_many(key, items.len(), most);
        }
        let read = items.iter().enumerate().filter_map(|(index, item)| match item {
            Tree::Table(table) => Some(Section::new(self.source, self.item(key, index), Some(table), None)),
            _ => self.wrong_type(self.item(key, index), "a table", item),
        });
        Some(read.collect())
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
}
