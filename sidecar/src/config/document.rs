//! One TOML file and the list of everything that is wrong with it.
//!
//! Parsing stops at nothing: the untyped tree is read key by key (see `section`), so one mistake never hides the next.

use std::cell::RefCell;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::section::Section;

/// One thing that is wrong: where, and the rule it breaks. Never holds a secret's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file as the operator named it.
    pub file: String,
    /// Path of the key, such as `trunk[2].ipAcls[0].ipAddress`; a line for what has no key.
    pub key: String,
    /// What must hold.
    pub rule: String,
}

impl fmt::Display for Problem {
    /// One line, whatever the file held.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{}: {}: {}", self.file, self.key, self.rule);
        line.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(f, "{}", c.escape_default()),
            c => write!(f, "{c}"),
        })
    }
}

/// Collects problems while many readers hold it.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds one.
    pub(super) fn push(&self, file: &str, key: impl Into<String>, rule: impl Into<String>) {
        self.0.borrow_mut().push(Problem { file: file.into(), key: key.into(), rule: rule.into() });
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Everything that was wrong, in the order it was met.
    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document<'t> {
    pub(super) file: String,
    pub(super) problems: &'t Problems,
    root: DeTable<'t>,
    usable: bool,
}

impl<'t> Document<'t> {
    /// Parses `text`, reporting every syntax error and duplicate key with its line.
    pub(super) fn parse(file: &str, text: &'t str, problems: &'t Problems) -> Document<'t> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            problems.push(file, format!("line {line}"), error.message());
        }
        // What was recovered after a broken line may be nonsense; after a duplicate key it is sound.
        let usable = errors.iter().all(|error| error.message().contains("duplicate key"));
        Document { file: file.to_owned(), problems, root: root.into_inner(), usable }
    }

    /// The top of the file, with `defaults` answering for absent keys. `None` if the file is too broken to be read on.
    pub(super) fn top<'d>(&'d self, defaults: Option<&'d Document<'t>>) -> Option<Section<'d>> {
        let defaults = defaults.map(|document| &document.root);
        self.usable.then(|| Section::new(self, String::new(), Some(&self.root), defaults))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// What a value is, for "must be …, not …".
pub(super) fn kind_of(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line() {
        let problem = Problem { file: "a\nb".into(), key: "k".into(), rule: "no \u{1b}[31m".into() };
        assert_eq!(problem.to_string(), "a\\nb: k: no \\u{1b}[31m");
    }

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
