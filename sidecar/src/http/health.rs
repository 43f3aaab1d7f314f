//! Alive, ready, and numbers.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

use super::Deps;
use crate::status;

/// How long a scrape waits for the store; older numbers are better than none.
const BACKLOG_TIMEOUT: Duration = Duration::from_secs(1);

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
    #[serde(flatten)]
    state: status::State,
}

/// 200 if changes and events are taken care of, else 503; why, and how the last reload went, is in the body.
pub(super) async fn readyz(State(deps): State<Deps>) -> impl IntoResponse {
    let state = deps.status.get();
    let reasons = state.reasons();
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { ready: reasons.is_empty(), reasons, state }))
}

/// Prometheus's text format.
pub(super) async fn metrics(State(deps): State<Deps>) -> impl IntoResponse {
    match tokio::time::timeout(BACKLOG_TIMEOUT, deps.store.backlog()).await {
        Ok(Ok(backlog)) => {
            deps.metrics.outbox_pending.set(backlog.pending);
            deps.metrics.outbox_parked.set(backlog.parked);
            deps.metrics.endpoints_disabled.set(backlog.disabled_endpoints);
        }
        Ok(Err(_)) => deps.metrics.store_errors.with_label_values(&["metrics"]).inc(),
        Err(_) => {}
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], deps.metrics.text())
}
