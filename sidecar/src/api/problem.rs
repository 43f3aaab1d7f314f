//! Why a request was refused: one kind of answer for every error, a problem document (RFC 9457).
//!
//! A handler says what is wrong; [`super::finish`] writes the document, because it knows the request's id. Must never
//! hold a secret, nor tell an account that another one's object exists.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::input::problem::Problem;
use crate::store::StoreError;

/// Most faults that are listed; a body of nothing but faults gets no answer that is larger than itself.
pub(super) const MAX_FAULTS: usize = 100;

/// One fault of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Fault {
    /// Where: a JSON pointer into the body (RFC 6901), or `?name` for a query parameter, or the name of a header.
    pub(super) pointer: String,
    /// One word for machines.
    pub(super) code: &'static str,
    /// What must hold.
    pub(super) detail: String,
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Fault {
        Fault { pointer: problem.key, code: problem.code, detail: problem.rule }
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'r> {
    /// Always `about:blank`: `code` says more than a URI would.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// One word for machines.
    code: &'static str,
    /// What is wrong, for people.
    detail: &'r str,
    /// The request's id, as in `X-Request-Id` and in the log.
    request_id: &'r str,
    /// Every fault that was found, at most 100.
    errors: &'r [Fault],
}

/// A refused request.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Refusal {
        Refusal { status, code, detail: detail.into(), faults: Vec::new(), headers: Vec::new() }
    }

    /// Faults that somebody has found: of the text itself (400) or of what it says (422).
    pub(super) fn of_faults(mut faults: Vec<Fault>) -> Refusal {
        const OF_TEXT: [&str; 4] = ["malformed_json", "bad_utf8", "too_deep", "duplicate_key"];
        let malformed = faults.iter().any(|fault| OF_TEXT.contains(&fault.code));
        let (status, code) = match malformed {
            true => (StatusCode::BAD_REQUEST, "malformed_body"),
            false => (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"),
        };
        let count = faults.len();
        faults.truncate(MAX_FAULTS);
        let detail = match count {
            1 => "the request has one fault".into(),
            _ => format!("the request has {count} faults; {} are listed", faults.len()),
        };
        Refusal { faults, ..Refusal::new(status, code, detail) }
    }

    /// One fault.
    pub(super) fn fault(
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Refusal {
        Refusal::of_faults(vec![Fault { pointer: pointer.into(), code, detail: detail.into() }])
    }

    /// The same under another status.
    pub(super) fn with_status(self, status: StatusCode, code: &'static str) -> Refusal {
        Refusal { status, code, ..self }
    }

    /// With the seconds after which another try makes sense.
    pub(super) fn retry_after(mut self, seconds: u64) -> Refusal {
        self.headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }

    /// An object that is not there, or that is none of the caller's business: nobody can tell which.
    pub(super) fn not_found() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such object")
    }

    /// No token, or none that is good.
    pub(super) fn unauthorized(detail: &'static str) -> Refusal {
        let mut refusal = Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        refusal
            .headers
            .push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"trunkline\"")));
        refusal
    }

    /// For administrators only. Never said of an object.
    pub(super) fn admin_only() -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, "forbidden", "this needs a token of scope admin")
    }

    /// An answer that axum gave by itself, in words of ours.
    pub(super) fn of_status(status: StatusCode) -> Refusal {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "there is nothing under this path"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this path takes the methods in Allow"),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "the body has another type"),
            StatusCode::SERVICE_UNAVAILABLE => {
                ("timeout", "the request took too long; a write may have been done all the same")
            }
            status if status.is_client_error() => ("bad_request", "the request cannot be understood"),
            _ => ("internal", "the request could not be handled; the log says why"),
        };
        Refusal::new(status, code, detail)
    }

    /// The document, for the request with this id.
    pub(super) fn render(&self, request_id: &str) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            request_id,
            errors: &self.faults,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Refusal {
    /// Trouble of the store is never the client's fault and never an internal error: what was there still is.
    fn from(error: StoreError) -> Refusal {
        let unavailable = |code, detail: &'static str| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(5)
        };
        match error {
            StoreError::Busy => unavailable("store_busy", "the database is locked by another process"),
            StoreError::Full => unavailable("store_full", "the disk of the database is full"),
            StoreError::Damaged(_) => {
                unavailable("store_damaged", "the database is damaged; the log says where")
            }
            StoreError::Conflict { .. } => Refusal::new(
                StatusCode::CONFLICT,
                "conflict",
                "the configuration changed meanwhile; read it again",
            ),
            StoreError::NoRoom(thing) => Refusal::new(
                StatusCode::CONFLICT,
                "no_room",
                format!("there is no room for another {thing} in shared memory"),
            ),
            StoreError::Managed(_) => Refusal::new(
                StatusCode::CONFLICT,
                "managed_by_file",
                "a file manages this object: change it there",
            ),
            StoreError::Kamailio(refusals) => {
                let faults = refusals.iter().map(|refusal| Fault {
                    pointer: String::new(),
                    code: "kamailio_limit",
                    detail: refusal.to_string(),
                });
                Refusal::of_faults(faults.collect()).with_status(StatusCode::CONFLICT, "kamailio_limit")
            }
            StoreError::Contradiction(rule) => Refusal::new(StatusCode::CONFLICT, "contradiction", rule),
            _ => unavailable("store_failed", "the database cannot be used; the log says why"),
        }
    }
}
