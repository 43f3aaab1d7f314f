//! What is wrong with an input: where, which rule, and a word for machines.
//!
//! Must never hold the text of a secret.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

/// One thing that is wrong: where, and the rule it breaks. Never holds a secret's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file as the operator named it; empty for the body of a request.
    pub file: String,
    /// Path of the key, such as `trunk[2].ipAcls[0].ipAddress`; a line for what has no key. In a request a JSON pointer.
    pub key: String,
    /// One word for machines, such as `out_of_range`.
    pub code: &'static str,
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
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds one.
    pub(crate) fn push(&self, file: &str, key: impl Into<String>, broken: impl Into<Broken>) {
        let Broken { code, rule } = broken.into();
        let problem = Problem { file: file.into(), key: key.into(), code, rule: rule.into() };
        self.0.borrow_mut().push(problem);
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Everything that was wrong, in the order it was met.
    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// A broken rule, before it is known where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// One word for machines.
    pub(crate) code: &'static str,
    /// What must hold, for people.
    pub(crate) rule: Cow<'static, str>,
}

impl Broken {
    /// A rule under its own code.
    pub(crate) fn new(code: &'static str, rule: impl Into<Cow<'static, str>>) -> Broken {
        Broken { code, rule: rule.into() }
    }
}

/// A rule that needs no code of its own.
impl From<&'static str> for Broken {
    fn from(rule: &'static str) -> Broken {
        Broken::new("invalid", rule)
    }
}

impl From<String> for Broken {
    fn from(rule: String) -> Broken {
        Broken::new("invalid", rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line() {
        let problem =
            Problem { file: "a\nb".into(), key: "k".into(), code: "invalid", rule: "no \u{1b}[31m".into() };
        assert_eq!(problem.to_string(), "a\\nb: k: no \\u{1b}[31m");
    }
}
