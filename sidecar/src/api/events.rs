//! Every event in order, for consumers who would rather fetch them than be sent them: the same ids, the same bodies.
//!
//! An answer waits for news for as long as it is asked to, and holds nothing of the store meanwhile.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until, timeout_at};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::ask::{Ask, number};
use super::problem::Refusal;
use super::{Api, trouble};
use crate::store::StoredEvent;

/// Most events of one answer, and how many there are if nothing is said.
const LIMIT: std::ops::RangeInclusive<u32> = 1..=1000;
const DEFAULT_LIMIT: u32 = 100;
/// The longest wait for news, in seconds.
const MAX_WAIT_S: u64 = 25;
/// Least time between two looks of one who waits: news of others come a hundred times a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(after))
}

/// Events that were written down one after the other.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventFeed)]
struct Feed {
    /// Oldest first.
    objects: Vec<FeedEvent>,
    /// What to ask for next time.
    next_after: i64,
}

/// One event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FeedEvent {
    /// Its place among all events: grows, with gaps.
    sequence: i64,
    /// The same as a webhook's `webhook-id`.
    event_id: String,
    /// The same as a webhook's body.
    #[schema(value_type = Object)]
    event: Box<RawValue>,
}

/// Events after a sequence, oldest first; to an account's token those of its own. With `waitSeconds` an empty answer waits for
/// the first to come.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(
        ("after" = Option<i64>, Query, minimum = 0, description = "`nextAfter` of the last answer; 0 is the beginning"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Events of one answer; 100 if nothing is said"),
        ("waitSeconds" = Option<u64>, Query, minimum = 0, maximum = 25, description = "How long to wait for the first one")),
    responses((status = 200, description = "Events", body = Feed)))]
async fn after(State(api): State<Api>, ask: Ask) -> Answer {
    let (after, limit, wait) = ask.query(|section| {
        let after = section.parsed("after", |text| number(text, 0..=i64::MAX));
        let limit = section.parsed("limit", |text| number(text, LIMIT));
        let wait = section.parsed("waitSeconds", |text| number(text, 0..=MAX_WAIT_S));
        (after.unwrap_or(0), limit.unwrap_or(DEFAULT_LIMIT), wait.unwrap_or(0))
    })?;
    let until = Instant::now() + Duration::from_secs(wait);
    // Before the first look: what is written down meanwhile is news.
    let mut news = api.wakes.written();
    let account = ask.holder.account().map(str::to_owned);
    let _place = if wait > 0 { Some(api.gate.waits.enter(ask.holder.token)?) } else { None };
    let found = loop {
        let looked = Instant::now();
        let found = api.store.events_after(after, account.clone(), limit).await;
        let found = found.map_err(|error| trouble(&api, "api_read", error))?;
        if !found.is_empty() || Instant::now() >= until {
            break found;
        }
        let news = async {
            let _ = timeout_at(until, news.changed()).await;
            sleep_until(until.min(looked + LOOK_EVERY)).await;
        };
        if api.stop.run_until_cancelled(news).await.is_none() {
            break found;
        }
    };
    let next_after = found.last().map_or(after, |event| event.position);
    let objects = found.into_iter().map(FeedEvent::try_from).collect::<Result<_, _>>();
    let objects = objects.map_err(|_| Refusal::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(Json(Feed { objects, next_after }).into_response())
}

impl TryFrom<StoredEvent> for FeedEvent {
    type Error = serde_json::Error;

    fn try_from(event: StoredEvent) -> Result<FeedEvent, serde_json::Error> {
        Ok(FeedEvent {
            sequence: event.position,
            event_id: event.event_id,
            event: RawValue::from_string(event.body)?,
        })
    }
}
