//! What the calls of a filter come to: attempts, answers, their ratio, their length.
//!
//! Summed up in pieces, few sums at a time, so that nobody's list waits for somebody's year.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::query;
use crate::api::answer::{Answer, time};
use crate::api::ask::Ask;
use crate::api::{Api, trouble};
use crate::cost::Amount;
use crate::store::CallSums;

/// Most pieces that are summed up for one request, of 50,000 calls each.
const MAX_PIECES: usize = 40;

/// What calls come to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallSummary)]
pub(super) struct SummaryView {
    /// All attempts.
    attempts: u64,
    /// Those that were admitted.
    admitted: u64,
    /// Those that were refused.
    refused: u64,
    /// Those that were answered.
    answered: u64,
    /// Answered ones among all attempts, 0 to 1; null without attempts.
    answer_ratio: Option<f64>,
    /// From answer to end, over answered calls that have ended; null without any.
    average_duration_ms: Option<u64>,
    /// Answered seconds, those of each call up to a whole increment of its rate, or to a whole second.
    billable_seconds: u64,
    /// What they cost, one entry for each currency; calls without a cost are in none.
    costs: Vec<CostView>,
    /// Whether every call that matches is in it. At most 2,000,000 are looked at, the newest.
    complete: bool,
    /// If it is not complete: it has the calls that began after this.
    #[schema(format = DateTime)]
    complete_since: Option<String>,
}

/// What calls cost in one currency.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallCost)]
struct CostView {
    /// ISO 4217.
    currency: String,
    /// An exact decimal.
    cost: String,
}

impl From<(&String, &i64)> for CostView {
    fn from((currency, micros): (&String, &i64)) -> CostView {
        CostView { currency: currency.clone(), cost: Amount::from_micros(*micros).to_string() }
    }
}

/// What calls come to; to an account's token its own. Filters are those of the call log.
#[utoipa::path(get, path = "/v1/calls/summary", tag = "calls",
    params(query::Filters),
    responses((status = 200, description = "What they come to", body = SummaryView)))]
pub(super) async fn summary(State(api): State<Api>, ask: Ask) -> Answer {
    let filter = ask.query(query::filter)?.confined(&ask.holder)?;
    // Never closed.
    let _turn = api.gate.sums.acquire().await;
    let (mut sums, mut after) = (CallSums::default(), None);
    for _ in 0..MAX_PIECES {
        let piece = api.store.sum_calls(filter.clone(), after).await;
        let (more, next) = piece.map_err(|error| trouble(&api, "api_read", error))?;
        sums.merge(&more);
        after = next;
        if after.is_none() {
            break;
        }
    }
    let mut view = SummaryView::from(&sums);
    view.complete = after.is_none();
    view.complete_since = after.map(|cursor| time(cursor.start_ms));
    Ok(Json(view).into_response())
}

impl From<&CallSums> for SummaryView {
    fn from(sums: &CallSums) -> SummaryView {
        SummaryView {
            attempts: sums.attempts,
            admitted: sums.admitted,
            refused: sums.attempts - sums.admitted,
            answered: sums.answered,
            answer_ratio: (sums.attempts > 0).then(|| sums.answered as f64 / sums.attempts as f64),
            average_duration_ms: sums.talk_ms.checked_div(sums.finished),
            billable_seconds: sums.billable_seconds,
            costs: sums.costs.iter().map(CostView::from).collect(),
            complete: true,
            complete_since: None,
        }
    }
}
