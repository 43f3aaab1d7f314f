//! Deliveries: what was sent where, and every attempt of it. Reads only.
//!
//! To an account's token those of its own events. Lists go from the newest one to the oldest, and on from where the last page
//! ended; what comes in meanwhile moves nothing. No page is counted, and none looks at more than a bounded number.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Serialize;
use serde_json::value::RawValue;
use trunk_admission::model::Kind;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Answer, time};
use super::ask::{Ask, DEFAULT_LIMIT, LIMIT, number};
use super::etag::ETag;
use super::problem::Refusal;
use super::token::Holder;
use super::{Api, owner, trouble};
use crate::domain::Millis;
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;
use crate::store::{DeliveryFilter, DeliveryRecord, DeliveryState, DeliveryStory, LoggedAttempt};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read))
}

/// One event on its way to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
struct Delivery {
    delivery_id: String,
    /// `webhook-id` of every attempt.
    event_id: String,
    event_type: String,
    call_id: String,
    /// Place of the event in its call.
    sequence: u8,
    /// Trunk or voice application that it is sent for.
    trunk_id: String,
    account_id: Option<String>,
    /// `pending`, `delivered`, or `parked`: tried no more, until it is sent again by hand.
    state: &'static str,
    /// Attempts since it was written down, or since it was last sent again by hand.
    attempts: u32,
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was delivered or parked.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

impl From<&DeliveryRecord> for Delivery {
    fn from(record: &DeliveryRecord) -> Delivery {
        let pending = record.state == DeliveryState::Pending;
        Delivery {
            delivery_id: record.id.to_string(),
            event_id: record.event_id.clone(),
            event_type: record.kind.clone(),
            call_id: record.call.to_string(),
            sequence: record.sequence,
            trunk_id: record.trunk.clone(),
            account_id: record.account.clone(),
            state: record.state.name(),
            attempts: record.attempts,
            next_attempt_at: pending.then(|| time(record.next_attempt_ms)),
            created_at: time(record.created_ms),
            ended_at: record.ended_ms.map(time),
        }
    }
}

/// A delivery with all its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDeliveryStory)]
struct Story {
    #[serde(flatten)]
    delivery: Delivery,
    /// The event as it is sent.
    #[schema(value_type = Object)]
    event: Box<RawValue>,
    /// Oldest first.
    attempt_log: Vec<Attempt>,
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookAttempt)]
struct Attempt {
    number: u32,
    /// `url` or `fallback`.
    target: String,
    #[schema(format = DateTime)]
    started_at: String,
    duration_ms: Millis,
    /// One word: `delivered`, `gone`, `redirect`, `refused`, `error`, `denied`, `timeout`, `connect`, `broken`.
    outcome: String,
    /// HTTP status, if one came.
    status: Option<u16>,
    /// What went wrong.
    error: Option<String>,
    /// The beginning of the answer's body.
    answer: String,
}

impl From<LoggedAttempt> for Attempt {
    fn from(attempt: LoggedAttempt) -> Attempt {
        Attempt {
            number: attempt.number,
            target: attempt.target,
            started_at: time(attempt.started_ms),
            duration_ms: attempt.duration_ms,
            outcome: attempt.outcome,
            status: attempt.status,
            error: attempt.error,
            answer: String::from_utf8_lossy(&attempt.answer).into_owned(),
        }
    }
}

/// Which part of the deliveries this is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveriesMeta {
    /// Most deliveries on this page.
    limit: u32,
    /// `cursor` of the next page; null if nothing is left. A page may have room left and still have a next one: one looks
    /// at no more than 10,000 deliveries.
    next_cursor: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryList {
    meta: DeliveriesMeta,
    objects: Vec<Delivery>,
}

/// Which deliveries somebody asks for.
#[derive(Default)]
pub(super) struct Asked {
    account: Option<String>,
    trunk: Option<String>,
    application: Option<String>,
    pub(super) state: Option<DeliveryState>,
    call: Option<Uuid>,
    from_ms: Option<Millis>,
    before_ms: Option<Millis>,
}

impl Asked {
    /// The filters that lists and replays have in common.
    pub(super) fn read(section: &Section<'_>) -> Asked {
        let trunk = section.parsed("trunkId", rules::label);
        let application = section.parsed("applicationId", rules::label);
        if trunk.is_some() && application.is_some() {
            section.problem("applicationId", Broken::new("not_here", "has no place beside trunkId"));
        }
        Asked {
            account: section.parsed("accountId", rules::label),
            trunk,
            application,
            state: section.parsed("state", state),
            call: section.parsed("callId", call),
            from_ms: section.parsed("createdFrom", rules::instant),
            before_ms: section.parsed("createdBefore", rules::instant),
        }
    }

    /// As the holder of a token may ask it: what is not its own does not exist.
    pub(super) async fn filter(self, api: &Api, holder: &Holder) -> Result<DeliveryFilter, Refusal> {
        for (id, kind) in [(&self.trunk, Kind::Trunk), (&self.application, Kind::Application)] {
            let Some(id) = id else { continue };
            let found = api.store.trunk(id.clone()).await;
            let found = found.map_err(|error| trouble(api, "api_read", error))?;
            match found {
                // Events outlive their trunk: administrators may ask for those of one that is gone.
                None if holder.account().is_none() => {}
                found => owner::seen(found, holder, kind).map(drop)?,
            }
        }
        Ok(DeliveryFilter {
            account: owner::filter(holder, self.account)?,
            trunk: self.trunk.or(self.application),
            state: self.state,
            call: self.call,
            from_ms: self.from_ms,
            before_ms: self.before_ms,
        })
    }
}

fn state(text: &str) -> Result<DeliveryState, Broken> {
    let known = DeliveryState::ALL.into_iter().find(|state| state.name() == text);
    known.ok_or_else(|| Broken::new("invalid_state", "must be pending, delivered or parked"))
}

fn call(text: &str) -> Result<Uuid, Broken> {
    text.parse().map_err(|_| Broken::new("invalid_id", "must be a UUID"))
}

/// The id of a delivery.
pub(super) fn id(text: &str) -> Option<i64> {
    text.parse().ok().filter(|id| *id > 0)
}

/// A delivery, if the caller may see it.
pub(super) async fn visible(api: &Api, ask: &Ask, id: &str) -> Result<DeliveryStory, Refusal> {
    let id = self::id(id).ok_or_else(Refusal::not_found)?;
    let found = api.store.delivery(id).await.map_err(|error| trouble(api, "api_read", error))?;
    let found = found.filter(|found| ask.holder.sees(found.delivery.account.as_deref()));
    found.ok_or_else(Refusal::not_found)
}

/// All deliveries, newest first; to an account's token those of its own events.
#[utoipa::path(get, path = "/v1/webhook-deliveries", tag = "webhook-deliveries",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Objects on a page; 20 if nothing is said"),
        ("cursor" = Option<String>, Query, description = "Where the last page ended: its `nextCursor`"),
        ("accountId" = Option<String>, Query, description = "Those of this account's events"),
        ("trunkId" = Option<String>, Query, description = "Those of this trunk's endpoint"),
        ("applicationId" = Option<String>, Query, description = "Those of this voice application's endpoint"),
        ("state" = Option<String>, Query, description = "`pending`, `delivered` or `parked`"),
        ("callId" = Option<String>, Query, description = "Those of this call"),
        ("createdFrom" = Option<String>, Query, description = "Of events from this time on"),
        ("createdBefore" = Option<String>, Query, description = "Of events before this time")),
    responses((status = 200, description = "A page of deliveries", body = DeliveryList)))]
async fn list(State(api): State<Api>, ask: Ask) -> Answer {
    let (limit, before, asked) = ask.query(|section| {
        let limit = section.parsed("limit", |text| number(text, LIMIT));
        let rule = "must be the nextCursor of a page";
        let cursor = |text: &str| id(text).ok_or(Broken::new("invalid_parameter", rule));
        (limit.unwrap_or(DEFAULT_LIMIT), section.parsed("cursor", cursor), Asked::read(section))
    })?;
    let filter = asked.filter(&api, &ask.holder).await?;
    let found = api.store.list_deliveries(filter, before, limit).await;
    let walked = found.map_err(|error| trouble(&api, "api_read", error))?;
    let next = walked.last.filter(|_| walked.more);
    let meta = DeliveriesMeta { limit, next_cursor: next.map(|id| id.to_string()) };
    let objects = walked.found.iter().map(Delivery::from).collect();
    Ok(Json(DeliveryList { meta, objects }).into_response())
}

/// One delivery, with the event and every attempt.
#[utoipa::path(get, path = "/v1/webhook-deliveries/{deliveryId}", tag = "webhook-deliveries",
    responses((status = 200, description = "The delivery", body = Story)))]
async fn read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let story = visible(&api, &ask, &id).await?;
    let event = RawValue::from_string(story.body);
    let event = event.map_err(|_| Refusal::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    let DeliveryRecord { state, attempts, next_attempt_ms, .. } = &story.delivery;
    let state = format!("{}-{}-{attempts}-{next_attempt_ms}", story.attempts.len(), state.name());
    let etag = ETag::with_volatile(story.delivery.id, state);
    let attempt_log = story.attempts.into_iter().map(Attempt::from).collect();
    answer::object(&ask, &etag, Story { delivery: Delivery::from(&story.delivery), event, attempt_log })
}
