//! Reads one table of a file, key by key, and remembers which keys were asked for.
//!
//! Every reader answers `None` after reporting what is wrong, so the caller goes on and finds the next mistake.
//! A caller that forgets [`Section::finish`] would let unknown keys pass; the type is `must_use` for that.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, kind_of};

/// One table.
#[derive(Debug)]
#[must_use = "finish() reports unknown keys"]
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    path: String,
    table: Option<&'d DeTable<'d>>,
    defaults: Option<&'d DeTable<'d>>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'d> Section<'d> {
    pub(super) fn new(
        document: &'d Document<'_>,
        path: String,
        table: Option<&'d DeTable<'_>>,
        defaults: Option<&'d DeTable<'_>>,
    ) -> Section<'d> {
        Section { document, path, table, defaults, asked: RefCell::default() }
    }

    /// Reports that `key` breaks `rule`.
    pub(super) fn problem(&self, key: &str, rule: impl Into<String>) {
        self.document.problems.push(&self.document.file, self.path_of(key), rule);
    }

    /// The file this table is in.
    pub(super) fn file(&self) -> &str {
        &self.document.file
    }

    /// The full path of a key of this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Option<&'d str> {
        self.typed(key, "a text", |value| match value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        })
    }

    /// `true` or `false`, or `default` when absent.
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        self.typed(key, "true or false", |value| match value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => None,
        })
        .unwrap_or(default)
    }

    /// An integer within `range`.
    pub(super) fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let digits = self.typed(key, "an integer", |value| match value {
            DeValue::Integer(integer) => Some(i128::from_str_radix(integer.as_str(), integer.radix()).ok()),
            _ => None,
        })?;
        self.in_range(key, digits, range)
    }

    /// An integer or a fraction.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        let number = self.typed(key, "a number", |value| match value {
            DeValue::Integer(integer) => {
                Some(i128::from_str_radix(integer.as_str(), integer.radix()).ok().map(|n| n as f64))
            }
            DeValue::Float(float) => Some(float.as_str().parse().ok()),
            _ => None,
        })?;
        if number.is_none() {
            self.problem(key, "is no finite number");
        }
        number
    }

    /// A text that `parse` accepts; its error becomes the rule.
    pub(super) fn parsed<T, E: ToString>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        parse(text).map_err(|rule| self.problem(key, rule.to_string())).ok()
    }

    /// As [`Section::parsed`], for a key that must be there.
    pub(super) fn parsed_required<T, E: ToString>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.require(key).then(|| self.parsed(key, parse)).flatten()
    }

    /// A list of texts, each of which `parse` accepts.
    pub(super) fn texts<T, E: ToString>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.list(key)?.iter().enumerate();
        let read = items.filter_map(|(index, item)| match item.get_ref() {
            DeValue::String(text) => {
                parse(text).map_err(|rule| self.problem(&format!("{key}[{index}]"), rule.to_string())).ok()
            }
            _ => self.wrong_type(&format!("{key}[{index}]"), "a text", item),
        });
        Some(read.collect())
    }

    /// A list of integers within `range`.
    pub(super) fn integers(&self, key: &str, range: RangeInclusive<u64>) -> Option<Vec<u64>> {
        let items = self.list(key)?.iter().enumerate();
        let read = items.filter_map(|(index, item)| match item.get_ref() {
            DeValue::Integer(integer) => {
                let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
                self.in_range(&format!("{key}[{index}]"), value, range.clone())
            }
            _ => self.wrong_type(&format!("{key}[{index}]"), "an integer", item),
        });
        Some(read.collect())
    }

    /// A table below this one; an empty one when absent.
    pub(super) fn section(&self, key: &str) -> Section<'d> {
        let as_table = |value: &'d DeValue<'d>| match value {
            DeValue::Table(table) => Some(table),
            _ => None,
        };
        self.asked.borrow_mut().insert(key.to_owned());
        let table = self
            .table
            .and_then(|table| table.get(key))
            .and_then(|value| as_table(value.get_ref()).or_else(|| self.wrong_type(key, "a table", value)));
        let defaults =
            self.defaults.and_then(|table| table.get(key)).and_then(|value| as_table(value.get_ref()));
        Section::new(self.document, self.path_of(key), table, defaults)
    }

    /// A list of tables (`[[key]]`); empty when absent. At most `most`.
    pub(super) fn sections(&self, key: &str, most: usize) -> Vec<Section<'d>> {
        let items = self.list(key).unwrap_or_default();
        if items.len() > most {
            self.problem(key, format!("has {} entries; at most {most} are allowed", items.len()));
        }
        let read = items.iter().enumerate().filter_map(|(index, item)| {
            let key = format!("{key}[{index}]");
            match item.get_ref() {
                DeValue::Table(table) => {
                    Some(Section::new(self.document, self.path_of(&key), Some(table), None))
                }
                _ => self.wrong_type(&key, "a table", item),
            }
        });
        read.collect()
    }

    /// Whether the file itself has the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            if !asked.contains(key.get_ref().as_ref()) {
                let known = asked.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                self.problem(key.get_ref(), format!("is no key here; known keys are {known}"));
            }
        }
    }

    fn require(&self, key: &str) -> bool {
        let there = self.find(key).is_some();
        if !there {
            self.problem(key, "is required");
        }
        there
    }

    fn find(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.table.and_then(|table| table.get(key)).or_else(|| self.defaults.and_then(|table| table.get(key)))
    }

    fn list(&self, key: &str) -> Option<&'d [Spanned<DeValue<'d>>]> {
        self.typed(key, "a list", |value| match value {
            DeValue::Array(array) => Some(&**array),
            _ => None,
        })
    }

    fn typed<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<T> {
        let value = self.find(key)?;
        read(value.get_ref()).or_else(|| self.wrong_type(key, wanted, value))
    }

    fn wrong_type<T>(&self, key: &str, wanted: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        self.problem(key, format!("must be {wanted}, not {}", kind_of(value)));
        None
    }

    fn in_range(&self, key: &str, value: Option<i128>, range: RangeInclusive<u64>) -> Option<u64> {
        let read = value.and_then(|value| u64::try_from(value).ok()).filter(|value| range.contains(value));
        if read.is_none() {
            self.problem(key, format!("must be {} to {}", range.start(), range.end()));
        }
        read
    }
}
