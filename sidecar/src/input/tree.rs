//! What was written, before anybody knows what it should mean: one shape for TOML and JSON.
//!
//! Must never drop or reorder anything that was written: readers report what they do not know.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    /// `null`; TOML has none.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number; one beyond the type is its nearest end, and so out of every range.
    Integer(i128),
    /// A number with a fraction, or one that is not finite.
    Fraction(f64),
    /// A text.
    Text(String),
    /// A date or a time; JSON has none.
    Date,
    /// A list.
    List(Vec<Tree>),
    /// A table, an object.
    Table(Table),
}

impl Tree {
    /// What a value is, for "must be …, not …".
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Tree::Null => "null",
            Tree::Flag(_) => "true or false",
            Tree::Integer(_) => "an integer",
            Tree::Fraction(_) => "a fraction",
            Tree::Text(_) => "a text",
            Tree::Date => "a date",
            Tree::List(_) => "a list",
            Tree::Table(_) => "a table",
        }
    }
}

/// Keys and values in the order they were written, each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table(pub(crate) Vec<(String, Tree)>);

impl Table {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// How the place of a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// `trunk[2].ipAcls[0].ipAddress`.
    Dotted,
    /// `/ipAcls/0/ipAddress` (RFC 6901).
    Pointer,
    /// `?limit`.
    Query,
}

/// Longest key that is repeated in a report, in characters.
const MAX_SHOWN_KEY: usize = 64;

impl Notation {
    /// The place of a key of the table at `path`.
    pub(crate) fn key(self, path: &str, key: &str) -> String {
        let key = match key.char_indices().nth(MAX_SHOWN_KEY) {
            None => key,
            Some((end, _)) => &key[..end],
        };
        match self {
            Notation::Dotted if path.is_empty() => key.to_owned(),
            Notation::Dotted if key.is_empty() => path.to_owned(),
            Notation::Dotted => format!("{path}.{key}"),
            Notation::Pointer => format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")),
            Notation::Query => format!("?{key}"),
        }
    }

    /// The notation's own word for a kind of value.
    pub(crate) fn word(self, kind: &'static str) -> &'static str {
        match (self, kind) {
            (Notation::Pointer, "a table") => "an object",
            _ => kind,
        }
    }

    /// The place of an item of the list at `path`.
    pub(crate) fn index(self, path: &str, index: usize) -> String {
        match self {
            Notation::Dotted => format!("{path}[{index}]"),
            Notation::Pointer | Notation::Query => format!("{path}/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_their_notation_wants() {
        let (dotted, pointer) = (Notation::Dotted, Notation::Pointer);
        assert_eq!(dotted.key(&dotted.index(&dotted.key("", "trunk"), 2), "name"), "trunk[2].name");
        assert_eq!(pointer.key(&pointer.index(&pointer.key("", "a/b~c"), 2), "name"), "/a~1b~0c/2/name");
        assert_eq!(pointer.key("", &"ü".repeat(1000)).chars().count(), 1 + MAX_SHOWN_KEY);
    }
}
