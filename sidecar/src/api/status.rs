//! How the daemon is: what is stored, published, mapped by each worker, and loaded by Kamailio.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::answer::Answer;
use super::ask::Ask;
use crate::status;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(read))
}

/// How the daemon is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Status)]
struct StatusView {
    /// Whether changes and events are taken care of.
    ready: bool,
    /// Why not.
    reasons: Vec<String>,
    #[serde(flatten)]
    state: status::State,
    ring: Ring,
}

/// The ring of events between Kamailio and us.
#[derive(Debug, Serialize, ToSchema)]
struct Ring {
    /// How many events may wait in it.
    cells: i64,
    /// How many wait to be written down.
    waiting: i64,
    /// How many found no room.
    dropped: i64,
    /// How many were lost with the process that wrote them.
    lost: i64,
}

/// How the daemon is.
#[utoipa::path(get, path = "/v1/status", tag = "status",
    responses((status = 200, description = "How it is", body = StatusView)))]
async fn read(State(api): State<Api>, ask: Ask) -> Answer {
    ask.holder.admin()?;
    ask.no_query()?;
    let (state, metrics) = (api.status.get(), &api.metrics);
    let reasons = state.reasons();
    let ring = Ring {
        cells: metrics.ring_cells.get(),
        waiting: metrics.ring_waiting.get(),
        dropped: metrics.ring_dropped.get(),
        lost: metrics.ring_lost.get(),
    };
    Ok(Json(StatusView { ready: reasons.is_empty(), reasons, state, ring }).into_response())
}
