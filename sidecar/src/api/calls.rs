//! The call log: every attempt, refused ones included, with what became of it. Reads only.
//!
//! Lists go from the newest call to the oldest, and on from where the last page ended, so that calls that come in meanwhile
//! move nothing. To an account's token the calls of others do not exist.

mod csv;
mod query;
mod summary;
mod view;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Answer};
use super::ask::Ask;
use super::etag::ETag;
use super::problem::Refusal;
use super::{Api, trouble};
use crate::call::Call;
use crate::store::CallPage;
use view::CallView;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(summary::summary)).routes(routes!(read))
}

/// Which part of the call log this is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CallsMeta {
    /// Most calls on this page.
    limit: u32,
    /// Calls before this page.
    offset: u64,
    /// All calls that match; null if more than 10,000 had to be looked at, or after a cursor.
    total: Option<u64>,
    /// `cursor` of the next page; null if nothing is left. A page may have room left and still have a next one: one looks
    /// at no more than 10,000 calls.
    next_cursor: Option<String>,
}

/// A page of the call log.
#[derive(Debug, Serialize, ToSchema)]
struct CallList {
    meta: CallsMeta,
    objects: Vec<CallView>,
}

/// Calls, newest first; to an account's token its own. `Accept: text/csv` has all that match as one file.
#[utoipa::path(get, path = "/v1/calls", tag = "calls",
    params(
        query::Filters,
        ("limit" = Option<u32>, Query, description = "Calls on a page, 1 to 100, 20 if absent"),
        ("offset" = Option<u64>, Query, description = "Calls before the page, at most 10,000; further on, follow `nextCursor`"),
        ("cursor" = Option<String>, Query, description = "Where the last page ended: its `nextCursor`")
    ),
    responses((status = 200, description = "A page of the call log",
        content((CallList = "application/json"), (String = "text/csv")))))]
async fn list(State(api): State<Api>, ask: Ask) -> Answer {
    if ask.wants_csv() {
        let asked = ask.query(query::filter)?;
        return csv::answer(&api, &ask.holder, asked.confined(&ask.holder)?).await;
    }
    let (asked, place) = ask.query(|section| (query::filter(section), query::place(section)))?;
    let filter = asked.confined(&ask.holder)?;
    let page = CallPage {
        after: place.cursor,
        skip: place.offset,
        limit: place.limit,
        count: place.cursor.is_none(),
    };
    let found = api.store.list_calls(filter, page).await.map_err(|error| trouble(&api, "api_read", error))?;
    let meta = CallsMeta {
        limit: place.limit,
        offset: place.offset,
        total: found.total,
        next_cursor: found.next.map(query::cursor_text),
    };
    Ok(Json(CallList { meta, objects: found.calls.iter().map(CallView::from).collect() }).into_response())
}

/// One call.
#[utoipa::path(get, path = "/v1/calls/{callId}", tag = "calls",
    responses((status = 200, description = "The call", body = CallView)))]
async fn read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let id = Uuid::parse_str(&id).map_err(|_| Refusal::not_found())?;
    let found = api.store.call(id).await.map_err(|error| trouble(&api, "api_read", error))?;
    let found = found.filter(|call| ask.holder.sees(call.account.as_deref()));
    let call = found.ok_or_else(Refusal::not_found)?;
    answer::object(&ask, &etag(&call), CallView::from(&call))
}

/// A call moves by itself, and never back.
fn etag(call: &Call) -> ETag {
    let moved = call.end_ms.or(call.answer_ms).unwrap_or(0);
    ETag::with_volatile(0, format!("{moved}-{}", u8::from(call.reconciled)))
}
