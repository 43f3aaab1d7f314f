//! Reads one table, key by key, and remembers which keys were asked for.
//!
//! Every reader answers `None` after reporting what is wrong, so the caller goes on and finds the next mistake.
//! A caller that forgets [`Section::finish`] would let unknown keys pass; the type is `must_use` for that.

mod lists;

use std::cell::RefCell;
use std::ops::RangeInclusive;

use super::problem::{Broken, Problems};
use super::tree::{Notation, Table, Tree};

/// What a whole document has in common: its name, how places in it are written, and where its faults go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'d> {
    /// The file as the operator named it; empty for the body of a request.
    pub(crate) file: &'d str,
    /// How places are written.
    pub(crate) notation: Notation,
    /// Where faults go.
    pub(crate) problems: &'d Problems,
}

impl Source<'_> {
    /// Reports that what stands at `place` breaks a rule.
    pub(crate) fn problem(&self, place: impl Into<String>, broken: impl Into<Broken>) {
        self.problems.push(self.file, place, broken);
    }

    /// Reports a value of another kind than is wanted.
    fn wrong_type<T>(&self, place: String, wanted: &'static str, value: &Tree) -> Option<T> {
        let word = |kind| self.notation.word(kind);
        let rule = format!("must be {}, not {}", word(wanted), word(value.kind()));
        self.problem(place, Broken::new("wrong_type", rule));
        None
    }
}

/// A field that may be left out, or taken back to its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Given<T> {
    /// Left out, or wrong and reported.
    #[default]
    Absent,
    /// `null`: back to the default.
    Null,
    /// A value.
    Value(T),
}

impl<T> Given<T> {
    /// What holds from now on: `now` if nothing was said, nothing after `null`.
    pub(crate) fn over(self, now: Option<T>) -> Option<T> {
        match self {
            Given::Absent => now,
            Given::Null => None,
            Given::Value(value) => Some(value),
        }
    }
}

/// One table.
#[derive(Debug)]
#[must_use = "finish() reports unknown keys"]
pub(crate) struct Section<'d> {
    source: Source<'d>,
    path: String,
    table: Option<&'d Table>,
    defaults: Option<&'d Table>,
    asked: RefCell<Vec<&'static str>>,
    refused: RefCell<Vec<&'static str>>,
}

impl<'d> Section<'d> {
    pub(crate) fn new(
        source: Source<'d>,
        path: String,
        table: Option<&'d Table>,
        defaults: Option<&'d Table>,
    ) -> Section<'d> {
        Section { source, path, table, defaults, asked: RefCell::default(), refused: RefCell::default() }
    }

    /// The table that `tree` is; reports one that is none.
    pub(crate) fn of(source: Source<'d>, path: String, tree: &'d Tree) -> Option<Section<'d>> {
        match tree {
            Tree::Table(table) => Some(Section::new(source, path, Some(table), None)),
            _ => source.wrong_type(path, "a table", tree),
        }
    }

    /// Reports that `key` breaks a rule.
    pub(crate) fn problem(&self, key: &str, broken: impl Into<Broken>) {
        self.source.problem(self.path_of(key), broken);
    }

    /// The file this table is in.
    pub(crate) fn file(&self) -> &'d str {
        self.source.file
    }

    /// The full path of a key of this table.
    pub(crate) fn path_of(&self, key: &str) -> String {
        self.source.notation.key(&self.path, key)
    }

    /// A text.
    pub(crate) fn text(&self, key: &'static str) -> Option<&'d str> {
        self.typed(key, "a text", |value| match value {
            Tree::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// `true` or `false`, if it is there.
    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.typed(key, "true or false", |value| match value {
            Tree::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// `true` or `false`, or `default` when absent.
    pub(crate) fn flag(&self, key: &'static str, default: bool) -> bool {
        self.boolean(key).unwrap_or(default)
    }

    /// An integer within `range`.
    pub(crate) fn integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.typed(key, "an integer", as_integer)?;
        self.in_range(self.path_of(key), value, range)
    }

    /// An integer or a fraction.
    pub(crate) fn number(&self, key: &'static str) -> Option<f64> {
        let number = self.typed(key, "a number", |value| match value {
            Tree::Integer(integer) => Some(*integer as f64),
            Tree::Fraction(fraction) => Some(*fraction),
            _ => None,
        })?;
        if !number.is_finite() {
            self.problem(key, Broken::new("out_of_range", "is no finite number"));
            return None;
        }
        Some(number)
    }

    /// A text that `parse` accepts; its error becomes the rule.
    pub(crate) fn parsed<T, E: Into<Broken>>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        parse(text).map_err(|rule| self.problem(key, rule)).ok()
    }

    /// As [`Section::parsed`], for a key that must be there.
    pub(crate) fn parsed_required<T, E: Into<Broken>>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.require(key).then(|| self.parsed(key, parse)).flatten()
    }

    /// What `read` reads under `key`, or `null`, or nothing.
    pub(crate) fn given<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Option<T>,
    ) -> Given<T> {
        match self.find(key) {
            Some(Tree::Null) => Given::Null,
            _ => read(self, key).map_or(Given::Absent, Given::Value),
        }
    }

    /// A table below this one; an empty one when absent.
    pub(crate) fn section(&self, key: &'static str) -> Section<'d> {
        self.ask(key);
        let table = self.table.and_then(|table| table.get(key)).and_then(|value| match value {
            Tree::Table(table) => Some(table),
            _ => self.source.wrong_type(self.path_of(key), "a table", value),
        });
        let defaults = self.defaults.and_then(|table| table.get(key)).and_then(|value| match value {
            Tree::Table(table) => Some(table),
            _ => None,
        });
        Section::new(self.source, self.path_of(key), table, defaults)
    }

    /// Whether the document itself has the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.get(key).is_some())
    }

    /// Reports those of `keys` that are there: only we set them.
    pub(crate) fn read_only(&self, keys: &[&'static str]) {
        self.refuse(keys, &Broken::new("read_only", "is read-only; leave it out"));
    }

    /// Reports those of `keys` that are there: they have no place here, for a reason of their own.
    pub(crate) fn refuse(&self, keys: &[&'static str], broken: &Broken) {
        for key in keys.iter().filter(|key| self.has(key)) {
            self.problem(key, broken.clone());
        }
        self.refused.borrow_mut().extend(keys);
    }

    /// The keys that were asked for so far, sorted.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        let mut asked = self.asked.borrow().clone();
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        let unknown = |key: &&str| !self.asked.borrow().contains(key) && !self.refused.borrow().contains(key);
        for key in self.table.into_iter().flat_map(Table::keys).filter(unknown) {
            let rule = format!("is no key here; known keys are {}", self.asked().join(", "));
            self.problem(key, Broken::new("unknown_field", rule));
        }
    }

    /// Whether a key is there; reports one that is not.
    pub(crate) fn require(&self, key: &'static str) -> bool {
        let there = self.find(key).is_some();
        if !there {
            self.problem(key, Broken::new("required", "is required"));
        }
        there
    }

    fn ask(&self, key: &'static str) {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
    }

    fn find(&self, key: &'static str) -> Option<&'d Tree> {
        self.ask(key);
        self.table.and_then(|table| table.get(key)).or_else(|| self.defaults.and_then(|table| table.get(key)))
    }

    fn typed<T>(
        &self,
        key: &'static str,
        wanted: &'static str,
        read: impl FnOnce(&'d Tree) -> Option<T>,
    ) -> Option<T> {
        let value = self.find(key)?;
        read(value).or_else(|| self.source.wrong_type(self.path_of(key), wanted, value))
    }

    fn in_range(&self, place: String, value: i128, range: RangeInclusive<u64>) -> Option<u64> {
        let read = u64::try_from(value).ok().filter(|value| range.contains(value));
        if read.is_none() {
            let rule = format!("must be {} to {}", range.start(), range.end());
            self.source.problem(place, Broken::new("out_of_range", rule));
        }
        read
    }
}

fn as_integer(value: &Tree) -> Option<i128> {
    match value {
        Tree::Integer(integer) => Some(*integer),
        _ => None,
    }
}
