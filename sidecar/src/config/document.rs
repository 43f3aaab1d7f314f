//! One TOML file and the list of everything that is wrong with it.
//!
//! Parsing stops at nothing: the untyped tree is read key by key (see `section`), so one mistake never hides the next.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::input::problem::{Broken, Problems};
use crate::input::section::{Section, Source};
use crate::input::tree::{Notation, Table, Tree};

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document<'t> {
    file: &'t str,
    problems: &'t Problems,
    root: Table,
    usable: bool,
}

impl<'t> Document<'t> {
    /// Parses `text`, reporting every syntax error and duplicate key with its line.
    pub(super) fn parse(file: &'t str, text: &str, problems: &'t Problems) -> Document<'t> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            problems.push(file, format!("line {line}"), Broken::new("malformed", error.message().to_owned()));
        }
        // What was recovered after a broken line may be nonsense; after a duplicate key it is sound.
        let usable = errors.iter().all(|error| error.message().contains("duplicate key"));
        Document { file, problems, root: table(root.into_inner()), usable }
    }

    /// The top of the file, with `defaults` answering for absent keys. `None` if the file is too broken to be read on.
    pub(super) fn top<'d>(&'d self, defaults: Option<&'d Document<'t>>) -> Option<Section<'d>> {
        let source = Source { file: self.file, notation: Notation::Dotted, problems: self.problems };
        let defaults = defaults.map(|document| &document.root);
        self.usable.then(|| Section::new(source, String::new(), Some(&self.root), defaults))
    }
}

fn table(table: DeTable<'_>) -> Table {
    Table(table.into_iter().map(|(key, value)| (key.into_inner().into_owned(), tree(value))).collect())
}

fn tree(value: Spanned<DeValue<'_>>) -> Tree {
    match value.into_inner() {
        DeValue::String(text) => Tree::Text(text.into_owned()),
        DeValue::Integer(integer) => {
            let value = i128::from_str_radix(integer.as_str(), integer.radix());
            Tree::Integer(value.unwrap_or(if integer.as_str().starts_with('-') {
                i128::MIN
            } else {
                i128::MAX
            }))
        }
        DeValue::Float(float) => Tree::Fraction(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Tree::Flag(flag),
        DeValue::Datetime(_) => Tree::Date,
        DeValue::Array(items) => Tree::List(items.into_iter().map(tree).collect()),
        DeValue::Table(below) => Tree::Table(table(below)),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_errors_are_all_reported_with_their_lines() {
        let problems = Problems::default();
        let document = Document::parse("f", "a = \nb = 1\nc = \"x\n", &problems);
        assert!(document.top(None).is_none());
        drop(document);
        let keys: Vec<_> = problems.into_vec().into_iter().map(|problem| problem.key).collect();
        assert!(keys.contains(&"line 1".to_owned()) && keys.contains(&"line 3".to_owned()), "{keys:?}");
    }

    #[test]
    fn a_duplicate_key_does_not_hide_the_rest() {
        let problems = Problems::default();
        let document = Document::parse("f", "a = 1\na = 2\nb = 3\n", &problems);
        assert!(document.top(None).is_some());
        assert_eq!(problems.into_vec().len(), 1);
    }
}
