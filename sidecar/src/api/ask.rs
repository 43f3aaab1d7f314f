//! What a handler may want to know of its request beside the body: who asks, under which conditions, and the query.
//!
//! A query is read as strictly as a body: parameters that nobody knows, doubled ones and bad encodings are refused.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};

use super::body::{object, reading};
use super::etag::Conditions;
use super::finish::RequestId;
use super::problem::Refusal;
use super::repeat::{self, Repeatable};
use super::token::Holder;
use crate::input::problem::Broken;
use crate::input::section::{Section, Source};
use crate::input::tree::{Notation, Table, Tree};
use crate::store;

/// Objects of a page that names no limit, and most that it may name.
pub(super) const LIMIT: RangeInclusive<u32> = 1..=100;
pub(super) const DEFAULT_LIMIT: u32 = 20;
/// Farthest page.
pub(super) const OFFSET: RangeInclusive<u64> = 0..=1_000_000_000;

/// A request.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) holder: Holder,
    pub(super) request: RequestId,
    pub(super) conditions: Conditions,
    headers: HeaderMap,
    method: Method,
    path: String,
    query: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Ask {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Ask, Refusal> {
        let Ok(request) = RequestId::from_request_parts(parts, state).await;
        Ok(Ask {
            holder: Holder::from_request_parts(parts, state).await?,
            request,
            conditions: Conditions::read(&parts.headers)?,
            headers: parts.headers.clone(),
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: u32,
    pub(super) offset: u64,
}

impl From<Page> for store::Page {
    fn from(page: Page) -> store::Page {
        store::Page { limit: page.limit, offset: page.offset }
    }
}

impl Ask {
    /// The query's parameters as a table; [`Section::parsed`] reads one.
    pub(super) fn query<T>(&self, read: impl FnOnce(&Section<'_>) -> T) -> Result<T, Refusal> {
        let (value, faults) = reading(|source| {
            let source = Source { notation: Notation::Query, ..source };
            let table = parameters(&self.query, source);
            object(&Tree::Table(table), "", source, read)
        });
        let good = value.filter(|_| faults.is_empty());
        good.ok_or_else(|| Refusal::of_faults(faults).with_status(StatusCode::BAD_REQUEST, "bad_query"))
    }

    /// Refuses any parameter.
    pub(super) fn no_query(&self) -> Result<(), Refusal> {
        self.query(|_| ())
    }

    /// Of a request that does something and is no write of the configuration: refuses a key, for it may be done twice, and
    /// conditions.
    pub(super) fn no_write(&self) -> Result<(), Refusal> {
        self.without(&[repeat::HEADER])?;
        self.no_condition()
    }

    /// Of a write of what has no version: refuses conditions, for nothing would be held against them.
    pub(super) fn no_condition(&self) -> Result<(), Refusal> {
        self.without(&[header::IF_MATCH.as_str(), header::IF_NONE_MATCH.as_str()])
    }

    fn without(&self, names: &[&str]) -> Result<(), Refusal> {
        let Some(name) = names.iter().find(|name| self.headers.contains_key(**name)) else { return Ok(()) };
        let refusal = Refusal::fault(*name, "not_here", "has no meaning for this request");
        Err(refusal.with_status(StatusCode::BAD_REQUEST, "bad_request"))
    }

    /// `limit` and `offset`, and whatever filters `read` knows.
    pub(super) fn page<T>(&self, read: impl FnOnce(&Section<'_>) -> T) -> Result<(Page, T), Refusal> {
        self.query(|section| {
            let limit = section.parsed("limit", |text| number(text, LIMIT)).unwrap_or(DEFAULT_LIMIT);
            let offset = section.parsed("offset", |text| number(text, OFFSET)).unwrap_or(0);
            (Page { limit, offset }, read(section))
        })
    }

    /// Whether the client would rather have CSV than JSON (RFC 9110 section 12.5.1).
    pub(super) fn wants_csv(&self) -> bool {
        let csv = self.weight_of("text/csv");
        csv > 0.0 && csv >= self.weight_of("application/json")
    }

    /// The weight of a media type that `Accept` names; 0 for one that it does not name, whatever its wildcards say.
    fn weight_of(&self, media: &str) -> f64 {
        let values = self.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(','));
        let of = ranges.filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next()?.eq_ignore_ascii_case(media);
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
            named.then(|| weight.unwrap_or(0.0))
        });
        of.fold(0.0, f64::max)
    }

    /// `wait=applied`, and whatever `read` knows.
    pub(super) fn wait<T>(&self, read: impl FnOnce(&Section<'_>) -> T) -> Result<(bool, T), Refusal> {
        self.query(|section| {
            let wait = section.parsed("wait", |text| match text {
                "applied" => Ok(true),
                _ => Err(Broken::new("invalid_parameter", "must be applied")),
            });
            (wait.unwrap_or(false), read(section))
        })
    }

    /// Under which key this request may be repeated, if it has one.
    pub(super) fn repeatable(&self, body: &[u8]) -> Result<Option<Repeatable>, Refusal> {
        let method = self.method.as_str().as_bytes();
        let parts = [method, self.path.as_bytes(), self.query.as_bytes(), body];
        Repeatable::read(&self.headers, &self.holder, &parts)
    }
}

/// A number within `range`.
pub(super) fn number<T: std::str::FromStr + PartialOrd + ToString>(
    text: &str,
    range: RangeInclusive<T>,
) -> Result<T, Broken> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let read = text.parse().ok().filter(|value| digits && range.contains(value));
    read.ok_or_else(|| {
        let rule = format!("must be {} to {}", range.start().to_string(), range.end().to_string());
        Broken::new("out_of_range", rule)
    })
}

/// `true` or `false`.
pub(super) fn flag(text: &str) -> Result<bool, Broken> {
    text.parse().map_err(|_| Broken::new("invalid_parameter", "must be true or false"))
}

/// The parameters of a query (`application/x-www-form-urlencoded`).
fn parameters(query: &str, source: Source<'_>) -> Table {
    let mut table = Table::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            let rule = "must be percent-encoded UTF-8 without control characters";
            source.problem(Notation::Query.key("", name), Broken::new("bad_encoding", rule));
            continue;
        };
        if table.get(&name).is_some() {
            source.problem(
                Notation::Query.key("", &name),
                Broken::new("duplicate", "stands here more than once"),
            );
        } else {
            table.0.push((name, Tree::Text(value)));
        }
    }
    table
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                (high << 4 | low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Fault;
    use crate::input::problem::Problems;

    fn faults(query: &str) -> Vec<String> {
        let problems = Problems::default();
        parameters(query, Source { file: "", notation: Notation::Query, problems: &problems });
        let faults = problems.into_vec().into_iter().map(Fault::from);
        faults.map(|fault| format!("{} {}", fault.pointer, fault.code)).collect()
    }

    #[test]
    fn queries_are_read_strictly() {
        assert_eq!(faults("a=1&b=%c3%bc+x&&c"), [""; 0]);
        assert_eq!(
            faults("a=1&a=2&b=%zz&c=%ff&d=%0a&e=%4"),
            ["?a duplicate", "?b bad_encoding", "?c bad_encoding", "?d bad_encoding", "?e bad_encoding"]
        );
        assert_eq!(decoded("%c3%bc+x%2B").as_deref(), Some("ü x+"));
    }

    #[test]
    fn numbers_are_digits_within_their_range() {
        assert_eq!(number("100", LIMIT).unwrap(), 100);
        for bad in ["", "0", "101", "+5", " 5", "5x", "99999999999999999999999"] {
            assert!(number(bad, LIMIT).is_err(), "{bad}");
        }
    }
}
