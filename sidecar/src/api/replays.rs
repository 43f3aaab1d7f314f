//! Deliveries that are sent again: one, or all that a filter lets through.
//!
//! What is sent again keeps its event's id, so that a receiver that has it already can tell. Must never send what happened
//! under one account to whoever has the trunk now.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::ask::Ask;
use super::body::Body;
use super::problem::Refusal;
use super::schema::ReplayBody;
use super::{Api, deliveries, trouble};
use crate::input::problem::Broken;
use crate::input::section::Section;
use crate::store::{self, Again, DeliveryState};

/// Deliveries of one transaction: some ten milliseconds, so that others get their turn.
const PIECE: usize = 500;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(one)).routes(routes!(all))
}

/// What was put back into the outbox.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplayedDeliveries)]
struct Replayed {
    /// Deliveries that will be sent again.
    replayed: u64,
    /// Whether there are more: ask again, with `afterDeliveryId`.
    more: bool,
    /// The last one that was looked at: `afterDeliveryId` of the next request. Null if there was none.
    last_delivery_id: Option<String>,
}

/// Which deliveries somebody wants sent again.
pub(super) struct Asked {
    which: deliveries::Asked,
    after: Option<i64>,
}

impl Asked {
    pub(super) fn read(section: &Section<'_>) -> Asked {
        let which = deliveries::Asked::read(section);
        if which.state == Some(DeliveryState::Pending) {
            section.problem("state", Broken::new("invalid_state", "must be delivered or parked"));
        }
        let rule = "must be a deliveryId";
        let id = |text: &str| deliveries::id(text).ok_or(Broken::new("invalid_id", rule));
        Asked { which, after: section.parsed("afterDeliveryId", id) }
    }
}

async fn send_again(api: &Api, ask: &Ask, ids: &[i64], state: Option<DeliveryState>) -> Result<u64, Refusal> {
    let mut count = 0;
    for piece in ids.chunks(PIECE) {
        // Whose event it was says the filter; whose endpoint it is may have changed since.
        let owner = ask.holder.account().map(str::to_owned);
        let again = Again { deliveries: piece.to_vec(), state, owner };
        let replayed = api.store.replay(again, api.clock.now_ms()).await;
        let store::Replayed { count: some, endpoints } =
            replayed.map_err(|error| trouble(api, "api_write", error))?;
        count += some;
        api.wakes.wake(&endpoints.into_iter().collect::<Vec<_>>());
    }
    Ok(count)
}

/// Sends one delivery again, whatever became of it, with all its attempts before it.
#[utoipa::path(post, path = "/v1/webhook-deliveries/{deliveryId}/replay", tag = "webhook-deliveries",
    operation_id = "replay", responses((status = 200, description = "What will be sent", body = Replayed)))]
async fn one(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    ask.no_write()?;
    let id = deliveries::visible(&api, &ask, &id).await?.delivery.id;
    let replayed = send_again(&api, &ask, &[id], None).await?;
    if replayed == 0 {
        let detail = "its trunk or application has no webhook any more, or belongs to another account now";
        return Err(Refusal::new(StatusCode::CONFLICT, "no_webhook", detail).into());
    }
    Ok(Json(Replayed { replayed, more: false, last_delivery_id: Some(id.to_string()) }).into_response())
}

/// Sends deliveries again that are delivered or parked: of an endpoint, of a time, of a state; oldest first, after looking at
/// no more than 10,000. Without `state` only those that are parked.
#[utoipa::path(post, path = "/v1/webhook-deliveries:replay", tag = "webhook-deliveries", request_body = ReplayBody,
    operation_id = "replay_all", responses((status = 200, description = "What will be sent", body = Replayed)))]
async fn all(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    ask.no_query()?;
    ask.no_write()?;
    let Asked { which, after } = body.parse()?.read(Asked::read)?;
    let mut filter = which.filter(&api, &ask.holder).await?;
    let state = *filter.state.get_or_insert(DeliveryState::Parked);
    let walked = api.store.delivery_ids(filter, after).await;
    let walked = walked.map_err(|error| trouble(&api, "api_read", error))?;
    let replayed = send_again(&api, &ask, &walked.found, Some(state)).await?;
    let last_delivery_id = walked.last.or(after).map(|id| id.to_string());
    Ok(Json(Replayed { replayed, more: walked.more, last_delivery_id }).into_response())
}
