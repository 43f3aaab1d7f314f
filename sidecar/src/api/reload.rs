//! Reads the configuration files anew, or only says what that would change.
//!
//! The same as SIGHUP, with an answer. Administrators only: files belong to whoever runs the node.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::answer::Answer;
use super::ask::{Ask, flag};
use super::problem::Refusal;
use crate::reload::Report;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(reload))
}

/// Reloads the files; with `dryRun=true` it only says what would change. Refused files are told in the answer, problem
/// by problem, and change nothing.
#[utoipa::path(post, path = "/v1/reload", tag = "reload",
    params(("dryRun" = Option<bool>, Query, description = "Only say what would change")),
    responses((status = 200, description = "What came of it", body = Report)))]
async fn reload(State(api): State<Api>, ask: Ask) -> Answer {
    ask.holder.admin()?;
    ask.no_write()?;
    let dry_run = ask.query(|section| section.parsed("dryRun", flag))?.unwrap_or(false);
    let report = api.reload.reload(dry_run).await;
    let busy = || {
        let detail = "too many reloads wait already, or the daemon is stopping";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
    };
    Ok(Json(report.ok_or_else(busy)?).into_response())
}
