//! Strict JSON (RFC 8259) to a tree: duplicate keys, deep nesting and bytes that are no UTF-8 are faults, not choices.
//!
//! Stops at the first syntax error, since what follows it means nothing; every duplicate key is reported. Must never use
//! more stack or memory than the text it reads allows for.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::problem::Broken;
use super::section::Source;
use super::tree::{Notation, Table, Tree};

/// Most tables and lists inside each other. Nothing that is asked for needs more than four.
const MAX_DEPTH: usize = 16;

/// Reads one value that fills `bytes`, which stands at `path` of the whole. `None` after a fault that leaves no tree.
pub(crate) fn parse(bytes: &[u8], path: &str, source: Source<'_>) -> Option<Tree> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let rule = format!("is not UTF-8 at byte {}", error.valid_up_to());
            source.problem(path, Broken::new("bad_utf8", rule));
            return None;
        }
    };
    let reader = Reader { source, path: RefCell::new(vec![path.to_owned()]), too_deep: Cell::new(false) };
    let mut json = serde_json::Deserializer::from_str(text);
    match Value(&reader).deserialize(&mut json).and_then(|tree| json.end().map(|()| tree)) {
        Ok(tree) => Some(tree),
        Err(_) if reader.too_deep.get() => {
            let rule = format!("has more than {MAX_DEPTH} levels");
            source.problem(path, Broken::new("too_deep", rule));
            None
        }
        Err(error) => {
            source.problem(path, Broken::new("malformed_json", format!("is no JSON: {error}")));
            None
        }
    }
}

struct Reader<'d> {
    source: Source<'d>,
    /// Places of the values that are being read, outermost first.
    path: RefCell<Vec<String>>,
    too_deep: Cell<bool>,
}

impl Reader<'_> {
    fn place(&self) -> String {
        self.path.borrow().last().cloned().unwrap_or_default()
    }

    /// Reads below `place`.
    fn below<T, E: serde::de::Error>(
        &self,
        place: String,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.path.borrow().len() > MAX_DEPTH {
            self.too_deep.set(true);
            return Err(E::custom("too deep"));
        }
        self.path.borrow_mut().push(place);
        let read = read();
        self.path.borrow_mut().pop();
        read
    }
}

struct Value<'r, 'd>(&'r Reader<'d>);

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Tree, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Flag(flag))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Tree, E> {
        Ok(Tree::Integer(integer.into()))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Tree, E> {
        Ok(Tree::Integer(integer.into()))
    }

    /// `10.0` is an integer to JSON, which knows one kind of number only.
    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(if number.fract() == 0.0 { Tree::Integer(number as i128) } else { Tree::Fraction(number) })
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Tree, E> {
        Ok(Tree::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let (reader, mut items, path) = (self.0, Vec::new(), self.0.place());
        loop {
            let place = Notation::Pointer.index(&path, items.len());
            match reader.below(place, || list.next_element_seed(Value(reader)))? {
                Some(item) => items.push(item),
                None => return Ok(Tree::List(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Tree, A::Error> {
        let (reader, mut entries, mut seen, path) = (self.0, Vec::new(), HashSet::new(), self.0.place());
        while let Some(key) = table.next_key::<String>()? {
            let place = Notation::Pointer.key(&path, &key);
            let value = reader.below(place.clone(), || table.next_value_seed(Value(reader)))?;
            if seen.insert(key.clone()) {
                entries.push((key, value));
            } else {
                reader.source.problem(place, Broken::new("duplicate_key", "stands here more than once"));
            }
        }
        Ok(Tree::Table(Table(entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::problem::Problems;

    /// The tree, and what was reported as `place code`.
    fn read(text: &[u8]) -> (Option<Tree>, Vec<String>) {
        let problems = Problems::default();
        let source = Source { file: "", notation: Notation::Pointer, problems: &problems };
        let tree = parse(text, "", source);
        (tree, problems.into_vec().into_iter().map(|found| format!("{} {}", found.key, found.code)).collect())
    }

    #[test]
    fn every_kind_of_value_is_kept() {
        let (tree, problems) =
            read(br#" {"a": [null, true, -1, 18446744073709551615, 1.5, 2.0, "\u00fc"]} "#);
        assert!(problems.is_empty());
        let items = vec![
            Tree::Null,
            Tree::Flag(true),
            Tree::Integer(-1),
            Tree::Integer(u64::MAX.into()),
            Tree::Fraction(1.5),
            Tree::Integer(2),
            Tree::Text("ü".into()),
        ];
        assert_eq!(tree, Some(Tree::Table(Table(vec![("a".into(), Tree::List(items))]))));
    }

    #[test]
    fn every_duplicate_key_is_reported_with_its_place() {
        let (_, problems) = read(br#"{"a": 1, "b": [{"c": 1, "c": 2}], "a": 3, "x/y": 1, "x/y": 2}"#);
        assert_eq!(problems, ["/b/0/c duplicate_key", "/a duplicate_key", "/x~1y duplicate_key"]);
    }

    #[test]
    fn nesting_has_a_limit_that_costs_nothing() {
        let nested = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels)].concat();
        assert_eq!(read(&nested(MAX_DEPTH)).1, [""; 0]);
        for levels in [MAX_DEPTH + 1, 500_000] {
            assert_eq!(read(&nested(levels)).1, [" too_deep"], "{levels}");
        }
        assert_eq!(read(&br#"{"a":"#.repeat(100_000)).1, [" too_deep"]);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "{]",
            "{a: 1}",
            "{\"a\": 01}",
            "{\"a\": 1,}",
            "1 2",
            "NaN",
            "\"\u{1}\"",
            "1e999",
            "\u{feff}{}",
        ] {
            assert_eq!(read(bad.as_bytes()).1, [" malformed_json"], "{bad}");
        }
        assert_eq!(read(b"{\"a\": \"\xff\"}").1, [" bad_utf8"]);
        assert_eq!(read(br#""\ud800""#).1, [" malformed_json"]);
    }
}
