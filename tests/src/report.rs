//! What should have happened beside what did.
//!
//! It must never soften a difference: two texts are equal or the line does not match.

use std::fmt;

/// One thing that was expected.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who saw it, or what it is.
    pub what: String,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub seen: String,
}

impl Line {
    /// Whether they are the same.
    #[must_use]
    pub fn matches(&self) -> bool {
        self.expected == self.seen
    }
}

/// All that was expected of one scenario.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order it was looked at.
    pub lines: Vec<Line>,
    /// What a reader wants to see when a line does not match.
    pub details: String,
}

impl Report {
    /// Notes an expectation and what was seen.
    pub fn line(&mut self, what: &str, expected: &str, seen: impl Into<String>) {
        self.lines.push(Line { what: what.to_owned(), expected: expected.to_owned(), seen: seen.into() });
    }

    /// Whether everything was as expected; an empty report is not.
    #[must_use]
    pub fn matches(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(Line::matches)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest =
            |text: fn(&Line) -> &str| self.lines.iter().map(|line| text(line).len()).max().unwrap_or(0);
        let (what, expected) = (widest(|line| &line.what), widest(|line| &line.expected).max(SHOULD.len()));
        writeln!(f, "    {:what$}  {SHOULD:expected$}  what happened", "")?;
        for line in &self.lines {
            let mark = if line.matches() { ' ' } else { '!' };
            let seen = if line.seen.is_empty() { "(nothing)" } else { &line.seen };
            writeln!(f, "  {mark} {:what$}  {:expected$}  {seen}", line.what, line.expected)?;
        }
        if self.matches() { Ok(()) } else { f.write_str(&self.details) }
    }
}

const SHOULD: &str = "what should";
