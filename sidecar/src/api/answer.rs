//! Answers that are no refusals: objects with their version, lists with their page.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::ask::{Ask, Page};
use super::etag::ETag;
use super::problem::Refusal;
use crate::domain::Millis;

/// What a handler answers: an early end is an answer too.
pub(super) type Answer = Result<Response, Response>;

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        refusal.into_response()
    }
}

/// One object as it is, or 304 if the client has it already.
pub(super) fn object<T: Serialize>(ask: &Ask, etag: &ETag, view: T) -> Answer {
    let mut response = match ask.conditions.is_known(etag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Json(view).into_response(),
    };
    response.headers_mut().insert(header::ETAG, etag.header());
    Ok(response)
}

/// Which part of a list this is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Meta {
    /// Most objects on this page.
    limit: u32,
    /// Objects before this page.
    offset: u64,
    /// Objects on all pages together.
    total: u64,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    meta: Meta,
    objects: Vec<T>,
}

/// A page of a list.
pub(super) fn list<T: Serialize>(page: Page, total: u64, objects: Vec<T>) -> Answer {
    let meta = Meta { limit: page.limit, offset: page.offset, total };
    Ok(Json(List { meta, objects }).into_response())
}

/// A page of a list that is there as a whole.
pub(super) fn slice<S, T: Serialize>(page: Page, all: &[S], view: impl Fn(&S) -> T) -> Answer {
    let start = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let part = all.iter().skip(start).take(page.limit as usize);
    list(page, all.len() as u64, part.map(view).collect())
}

/// A time as answers have it.
pub(super) fn time(ms: Millis) -> String {
    crate::call::payload::rfc3339(ms)
}
