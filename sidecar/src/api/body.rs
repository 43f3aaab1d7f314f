//! Bodies: their size, their type, and the table that is in them.
//!
//! Nothing is read of a body before its length and type are known to be good, nor more of it than is allowed.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::problem::{Fault, Refusal};
use crate::input::json;
use crate::input::problem::Problems;
use crate::input::section::{Section, Source};
use crate::input::tree::{Notation, Tree};

/// Largest body, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;

/// Largest CSV file, in bytes.
const MAX_CSV_BYTES: usize = 16 << 20;

/// The types that a body may have.
const JSON: [&str; 2] = ["application/json", "application/merge-patch+json"];
/// One JSON value a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// The bytes of a body.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// Whether it is one JSON value a line.
    pub(super) lines: bool,
}

/// The bytes of a CSV file.
#[derive(Clone, Debug)]
pub(super) struct CsvBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for CsvBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<CsvBody, Refusal> {
        if media_type(request.headers())? != "text/csv" {
            let detail = "the body must have Content-Type: text/csv";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        Ok(CsvBody(collect(request, MAX_CSV_BYTES).await?))
    }
}

/// The whole body, if it is no longer than `most`.
async fn collect(request: Request, most: usize) -> Result<Bytes, Refusal> {
    let collected = Limited::new(request.into_body(), most).collect().await;
    let bytes = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => {
            let detail = format!("the body has more than {most} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        }
        None => Refusal::new(StatusCode::BAD_REQUEST, "body_cut_off", "the body ended before its end"),
    })?;
    Ok(bytes.to_bytes())
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Body, Refusal> {
        let media = media_type(request.headers())?;
        let lines = media == NDJSON;
        if !lines && !JSON.contains(&media.as_str()) {
            let detail = "the body must have Content-Type: application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        Ok(Body { bytes: collect(request, MAX_BODY_BYTES).await?, lines })
    }
}

/// The media type in lower case, without parameters; a charset must be UTF-8.
fn media_type(headers: &HeaderMap) -> Result<String, Refusal> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = text.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_owned();
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8") => Ok(media),
        Some(_) => {
            let detail = "the body must be in UTF-8";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
        }
    }
}

/// What a body says, not yet held against any rule but those of JSON.
#[derive(Clone, Debug)]
pub(super) struct Said {
    tree: Tree,
    /// What was wrong with the text, although it could be read.
    faults: Vec<Fault>,
}

impl Body {
    /// The one value of the body.
    pub(super) fn parse(&self) -> Result<Said, Refusal> {
        if self.lines {
            let detail = "this path takes one object with Content-Type: application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let (tree, faults) = reading(|source| json::parse(&self.bytes, "", source));
        match tree {
            Some(tree) => Ok(Said { tree, faults }),
            None => Err(Refusal::of_faults(faults)),
        }
    }
}

impl Said {
    /// Reads the object with `read`, which reports what is wrong; nothing of it is taken if anything is.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Section<'_>) -> T) -> Result<T, Refusal> {
        let (value, mut faults) = reading(|source| object(&self.tree, "", source, read));
        faults.splice(0..0, self.faults.iter().cloned());
        value.filter(|_| faults.is_empty()).ok_or_else(|| Refusal::of_faults(faults))
    }
}

/// Reads one object at `path` and reports keys that nobody asked for.
pub(super) fn object<T>(
    tree: &Tree,
    path: &str,
    source: Source<'_>,
    read: impl FnOnce(&Section<'_>) -> T,
) -> Option<T> {
    let section = Section::of(source, path.to_owned(), tree)?;
    let value = read(&section);
    section.finish();
    Some(value)
}

/// Runs `read`; its value, and every fault that it reported.
pub(super) fn reading<T>(read: impl FnOnce(Source<'_>) -> T) -> (T, Vec<Fault>) {
    let problems = Problems::default();
    let value = read(Source { file: "", notation: Notation::Pointer, problems: &problems });
    (value, problems.into_vec().into_iter().map(Fault::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_type(media: &str) -> Result<String, Refusal> {
        media_type(&HeaderMap::from_iter([(header::CONTENT_TYPE, media.parse().unwrap())]))
    }

    #[test]
    fn a_type_counts_without_its_parameters() {
        for good in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            assert_eq!(of_type(good).unwrap(), "application/json", "{good}");
        }
        assert!(of_type("application/json; charset=latin1").is_err());
        assert_eq!(media_type(&HeaderMap::new()).unwrap(), "");
    }

    #[test]
    fn every_fault_of_a_body_is_told_at_once() {
        let body = Body { bytes: Bytes::from_static(br#"{"a": 1, "b": "x", "a": 2, "c": 3}"#), lines: false };
        let read = |section: &Section<'_>| (section.text("a").is_some(), section.flag("b", false));
        let refusal = body.parse().unwrap().read(read).unwrap_err();
        assert_eq!((refusal.status, refusal.code), (StatusCode::BAD_REQUEST, "malformed_body"));
        let text = format!("{:?}", refusal);
        for found in ["duplicate_key", "\"/a\"", "\"/b\"", "\"/c\"", "unknown_field"] {
            assert!(text.contains(found), "{text}");
        }
    }
}
