//! Deliveries: what was sent where, every attempt of it, and how to have it sent again.
//!
//! To an account's token those of its own events. A delivery that is sent again keeps its event's id, so that a receiver
//! that has it already can tell.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use trunk_admission::model::Kind;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Answer, List, time};
use super::ask::Ask;
use super::body::Body;
use super::etag::ETag;
use super::problem::Refusal;
use super::schema::ReplayBody;
use super::token::Holder;
use super::{Api, owner, trouble};
use crate::domain::Millis;
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;
use crate::store::{DeliveryFilter, DeliveryRecord, DeliveryState, DeliveryStory, LoggedAttempt};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(replay))
        .routes(routes!(replay_all))
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

/// What was put back into the outbox.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplayedDeliveries)]
struct Replayed {
    /// Deliveries that will be sent again.
    replayed: u64,
    /// Whether there are more: ask again.
    more: bool,
}

/// Which deliveries somebody asks for.
#[derive(Default)]
pub(super) struct Asked {
    account: Option<String>,
    trunk: Option<String>,
    application: Option<String>,
    state: Option<DeliveryState>,
    call: Option<Uuid>,
    from_ms: Option<Millis>,
    before_ms: Option<Millis>,
}

impl Asked {
    /// The filters that lists and replays have in common.
    pub(super) fn read(section: &Section<'_>) -> Asked {
        Asked {
            account: section.parsed("accountId", rules::label),
            trunk: section.parsed("trunkId", rules::label),
            application: section.parsed("applicationId", rules::label),
            state: section.parsed("state", state),
            call: section.parsed("callId", call),
            from_ms: section.parsed("createdFrom", instant),
            before_ms: section.parsed("createdBefore", instant),
        }
    }

    /// As the holder of a token may ask it: what is not its own does not exist.
    async fn filter(self, api: &Api, holder: &Holder) -> Result<DeliveryFilter, Refusal> {
        for (id, kind) in [(&self.trunk, Kind::Trunk), (&self.application, Kind::Application)] {
            // Events outlive their trunk: administrators may ask for those of one that is gone.
            if let (Some(id), Some(_)) = (id, holder.account()) {
                owner::visible(api, holder, id.clone(), kind).await?;
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

/// A time (RFC 3339), in milliseconds.
fn instant(text: &str) -> Result<Millis, Broken> {
    let at: Result<Timestamp, _> = text.parse();
    let rule = "must be a time such as 2026-01-31T12:00:00Z";
    at.map(|at| at.as_millisecond()).map_err(|_| Broken::new("invalid_time", rule))
}

/// A delivery, if the caller may see it.
async fn visible(api: &Api, ask: &Ask, id: &str) -> Result<DeliveryStory, Refusal> {
    let Ok(id) = id.parse() else { return Err(Refusal::not_found()) };
    let found = api.store.delivery(id).await.map_err(|error| trouble(api, "api_read", error))?;
    let found = found.filter(|found| ask.holder.sees(found.delivery.account.as_deref()));
    found.ok_or_else(Refusal::not_found)
}

/// All deliveries, newest first; to an account's token those of its own events.
#[utoipa::path(get, path = "/v1/webhook-deliveries", tag = "webhook-deliveries",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Objects on a page; 20 if nothing is said"),
        ("offset" = Option<u64>, Query, minimum = 0, maximum = 1000000000, description = "Objects before the page"),
        ("accountId" = Option<String>, Query, description = "Those of this account's events"),
        ("trunkId" = Option<String>, Query, description = "Those of this trunk's endpoint"),
        ("applicationId" = Option<String>, Query, description = "Those of this voice application's endpoint"),
        ("state" = Option<String>, Query, description = "`pending`, `delivered` or `parked`"),
        ("callId" = Option<String>, Query, description = "Those of this call"),
        ("createdFrom" = Option<String>, Query, description = "Of events from this time on"),
        ("createdBefore" = Option<String>, Query, description = "Of events before this time")),
    responses((status = 200, description = "A page of deliveries", body = List<Delivery>)))]
async fn list(State(api): State<Api>, ask: Ask) -> Answer {
    let (page, asked) = ask.page(Asked::read)?;
    let filter = asked.filter(&api, &ask.holder).await?;
    let found = api.store.list_deliveries(filter, page.into()).await;
    let found = found.map_err(|error| trouble(&api, "api_read", error))?;
    answer::list(page, found.total, found.objects.iter().map(Delivery::from).collect())
}

/// One delivery, with the event and every attempt.
#[utoipa::path(get, path = "/v1/webhook-deliveries/{deliveryId}", tag = "webhook-deliveries",
    responses((status = 200, description = "The delivery", body = Story)))]
async fn read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let story = visible(&api, &ask, &id).await?;
    let event = RawValue::from_string(story.body);
    let event = event.map_err(|_| Refusal::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    let state = format!("{}-{}", story.attempts.len(), story.delivery.state.name());
    let etag = ETag::with_volatile(story.delivery.id, state);
    let attempt_log = story.attempts.into_iter().map(Attempt::from).collect();
    answer::object(&ask, &etag, Story { delivery: Delivery::from(&story.delivery), event, attempt_log })
}

/// Sends one delivery again, whatever became of it, with all its attempts before it.
#[utoipa::path(post, path = "/v1/webhook-deliveries/{deliveryId}/replay", tag = "webhook-deliveries",
    responses((status = 200, description = "What will be sent", body = Replayed)))]
async fn replay(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let story = visible(&api, &ask, &id).await?;
    let replayed = api.store.replay(story.delivery.id, api.clock.now_ms()).await;
    let endpoint = replayed.map_err(|error| trouble(&api, "api_write", error))?;
    let gone = || {
        let detail = "its trunk or application has no webhook any more";
        Refusal::new(StatusCode::CONFLICT, "no_webhook", detail)
    };
    api.wakes.wake(&[endpoint.ok_or_else(gone)?]);
    Ok(Json(Replayed { replayed: 1, more: false }).into_response())
}

/// Sends deliveries again that are delivered or parked: of an endpoint, of a time, of a state; oldest first, 10,000 at a
/// time. Without `state` only those that are parked.
#[utoipa::path(post, path = "/v1/webhook-deliveries:replay", tag = "webhook-deliveries", request_body = ReplayBody,
    responses((status = 200, description = "What will be sent", body = Replayed)))]
async fn replay_all(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    ask.no_query()?;
    let asked = body.parse()?.read(Asked::read)?;
    let mut filter = asked.filter(&api, &ask.holder).await?;
    filter.state.get_or_insert(DeliveryState::Parked);
    let replayed = api.store.replay_all(filter, api.clock.now_ms()).await;
    let replayed = replayed.map_err(|error| trouble(&api, "api_write", error))?;
    api.wakes.wake(&replayed.endpoints);
    Ok(Json(Replayed { replayed: replayed.count, more: replayed.more }).into_response())
}
