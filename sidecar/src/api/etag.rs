//! Versions of objects: `ETag`, `If-Match` and `If-None-Match` (RFC 9110 sections 8.8.3, 13.1.1 and 13.1.2).
//!
//! A tag is the revision that changed the object last, then whatever of it moves by itself. A write is held against the
//! revision alone: a gateway that goes down between reading and writing must not refuse the write.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::problem::Refusal;

/// The version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ETag {
    revision: i64,
    /// What moves without a write, such as a gateway's health; empty if nothing does.
    volatile: String,
}

impl ETag {
    /// Of an object that changes by writes only.
    pub(super) fn new(revision: i64) -> ETag {
        ETag { revision, volatile: String::new() }
    }

    /// Of an object of which something moves by itself.
    pub(super) fn with_volatile(revision: i64, volatile: impl ToString) -> ETag {
        ETag { revision, volatile: volatile.to_string() }
    }

    /// The header.
    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.text()).unwrap_or(HeaderValue::from_static("\"0\""))
    }

    fn text(&self) -> String {
        match self.volatile.as_str() {
            "" => format!("\"{}\"", self.revision),
            volatile => format!("\"{}.{volatile}\"", self.revision),
        }
    }

    /// Whether the object has this version, as far as writes go.
    fn has_revision(&self, tag: &str) -> bool {
        let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or_default();
        inner.split('.').next() == Some(self.revision.to_string().as_str())
    }
}

/// What a request says about versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    matches: Option<Tags>,
    none_match: Option<Tags>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<String>),
}

impl Conditions {
    /// Reads both headers.
    pub(super) fn read(headers: &HeaderMap) -> Result<Conditions, Refusal> {
        Ok(Conditions {
            matches: tags(headers, &header::IF_MATCH)?,
            none_match: tags(headers, &header::IF_NONE_MATCH)?,
        })
    }

    /// Before a write: refuses an object of another version than the client has read.
    pub(super) fn check(&self, now: &ETag) -> Result<(), Refusal> {
        let hit = match &self.matches {
            None | Some(Tags::Any) => true,
            // A weak tag never matches here (RFC 9110 section 13.1.1), and none begins with a quotation mark.
            Some(Tags::These(tags)) => tags.iter().any(|tag| now.has_revision(tag)),
        };
        if hit && !self.is_known(now) {
            return Ok(());
        }
        let detail = format!("the object has version {}", now.text());
        Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail))
    }

    /// Whether `If-None-Match` names this version: the client has it already.
    pub(super) fn is_known(&self, now: &ETag) -> bool {
        match &self.none_match {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => {
                tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == now.text())
            }
        }
    }
}

/// A list of tags, or `*`.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Refusal> {
    let mut read = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| malformed(name))?;
        if text.trim() == "*" {
            return Ok(Some(Tags::Any));
        }
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let inner = opaque.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            if inner.is_none_or(|inner| inner.contains('"')) {
                return Err(malformed(name));
            }
            read.push(tag.to_owned());
        }
    }
    let there = headers.contains_key(name);
    if there && read.is_empty() { Err(malformed(name)) } else { Ok(there.then_some(Tags::These(read))) }
}

fn malformed(name: &HeaderName) -> Refusal {
    let detail = "must be * or a list of tags in quotation marks, as an ETag header gave them";
    Refusal::fault(name.as_str(), "malformed_header", detail)
        .with_status(StatusCode::BAD_REQUEST, "malformed_header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(name: HeaderName, value: &str) -> Result<Conditions, Refusal> {
        Conditions::read(&HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn a_write_is_held_against_the_revision_alone() {
        let now = ETag::with_volatile(7, "up");
        assert_eq!(now.header(), "\"7.up\"");
        for (tags, good) in [
            ("\"7.up\"", true),
            ("\"7.down\"", true),
            ("\"7\"", true),
            ("*", true),
            ("\"6\", \"7\"", true),
            ("\"6.up\"", false),
            ("W/\"7\"", false),
            ("\"77\"", false),
        ] {
            assert_eq!(conditions(header::IF_MATCH, tags).unwrap().check(&now).is_ok(), good, "{tags}");
        }
    }

    #[test]
    fn a_read_is_held_against_everything() {
        let now = ETag::with_volatile(7, "up");
        for (tags, known) in
            [("\"7.up\"", true), ("W/\"7.up\"", true), ("\"7.down\"", false), ("\"7\"", false), ("*", true)]
        {
            let conditions = conditions(header::IF_NONE_MATCH, tags).unwrap();
            assert_eq!(conditions.is_known(&now), known, "{tags}");
            assert_eq!(conditions.check(&now).is_err(), known, "{tags}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for bad in ["", ",", "7", "\"7", "\"7\"x", "\"a\" \"b\"", "W/7"] {
            let refusal = conditions(header::IF_MATCH, bad).unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST, "{bad}");
        }
    }
}
