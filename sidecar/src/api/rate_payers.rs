//! Whose calls go by which rate plan: of an account, of a trunk, of an application. Said by administrators, whoever manages
//! the thing itself.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Serialize;
use trunk_admission::model::Kind;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::ask::Ask;
use super::body::Body;
use super::problem::Refusal;
use super::schema::RatePlanChoice;
use super::turn::{Draft, Written};
use super::{Api, owner, trouble};
use crate::change::Change;
use crate::domain::Payer;
use crate::input::rules;
use crate::input::section::{Given, Section};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(of_account, set_account))
        .routes(routes!(of_trunk, set_trunk))
        .routes(routes!(of_application, set_application))
}

/// The plan that somebody's calls go by.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChosenRatePlan)]
struct ChosenView {
    /// Null is none of its own: then its calls go by its account's, and cost nothing that we know of without one.
    rate_plan_id: Option<String>,
}

/// The plan that a body chooses.
pub(super) fn choice(section: &Section<'_>) -> Option<String> {
    section.read_only(&["configRevision"]);
    section.require("ratePlanId");
    match section.given("ratePlanId", |section, key| section.parsed(key, rules::label)) {
        Given::Value(plan) => Some(plan),
        Given::Absent | Given::Null => None,
    }
}

/// The plan that an account's calls go by.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/rate-plan", tag = "rate-plans",
    operation_id = "of_account", responses((status = 200, description = "Which one", body = ChosenView)))]
async fn of_account(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    read(&api, &ask, Payer::Account(id), None).await
}

/// Chooses the plan that an account's calls go by from now on.
#[utoipa::path(patch, path = "/v1/accounts/{accountId}/rate-plan", tag = "rate-plans", request_body = RatePlanChoice,
    responses((status = 200, description = "Which one", body = Written<ChosenView>)))]
async fn set_account(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: Body) -> Answer {
    write(&api, &ask, &body, Payer::Account(id), None).await
}

/// The plan that a trunk's calls go by, if it has one of its own.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/rate-plan", tag = "rate-plans",
    operation_id = "of_trunk", responses((status = 200, description = "Which one", body = ChosenView)))]
async fn of_trunk(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    read(&api, &ask, Payer::Trunk(id), Some(Kind::Trunk)).await
}

/// Chooses the plan that a trunk's calls go by from now on, before its account's.
#[utoipa::path(patch, path = "/v1/trunks/{trunkId}/rate-plan", tag = "rate-plans", request_body = RatePlanChoice,
    responses((status = 200, description = "Which one", body = Written<ChosenView>)))]
async fn set_trunk(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: Body) -> Answer {
    write(&api, &ask, &body, Payer::Trunk(id), Some(Kind::Trunk)).await
}

/// The plan that calls to a voice application go by, if it has one of its own.
#[utoipa::path(get, path = "/v1/voice-applications/{applicationId}/rate-plan", tag = "rate-plans",
    operation_id = "of_application", responses((status = 200, description = "Which one", body = ChosenView)))]
async fn of_application(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    read(&api, &ask, Payer::Trunk(id), Some(Kind::Application)).await
}

/// Chooses the plan that calls to a voice application go by from now on, before its account's.
#[utoipa::path(patch, path = "/v1/voice-applications/{applicationId}/rate-plan", tag = "rate-plans",
    request_body = RatePlanChoice, responses((status = 200, description = "Which one", body = Written<ChosenView>)))]
async fn set_application(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: Body) -> Answer {
    write(&api, &ask, &body, Payer::Trunk(id), Some(Kind::Application)).await
}

async fn read(api: &Api, ask: &Ask, payer: Payer, kind: Option<Kind>) -> Answer {
    ask.holder.admin()?;
    ask.no_query()?;
    there(api, ask, &payer, kind).await?;
    let found = api.store.rate_plan_of(payer).await;
    let rate_plan_id = found.map_err(|error| trouble(api, "api_read", error))?;
    Ok(Json(ChosenView { rate_plan_id }).into_response())
}

async fn write(api: &Api, ask: &Ask, body: &Body, payer: Payer, kind: Option<Kind>) -> Answer {
    ask.holder.admin()?;
    ask.no_condition()?;
    let (wait, ()) = ask.wait(|_| ())?;
    let plan = body.parse()?.read(choice)?;
    let turn = api.turn(ask, &body.bytes, wait).await?;
    // Read under the turn: nobody takes it away meanwhile.
    there(api, ask, &payer, kind).await?;
    if let Some(plan) = &plan {
        let found = turn.session.store().rate_plan(plan.clone()).await;
        let found = found.map_err(|error| trouble(api, "api_read", error))?;
        let unknown = || Refusal::fault("/ratePlanId", "unknown_rate_plan", "there is no such rate plan");
        found.ok_or_else(unknown)?;
    }
    let now = turn.session.store().rate_plan_of(payer.clone()).await;
    let now = now.map_err(|error| trouble(api, "api_read", error))?;
    let view = ChosenView { rate_plan_id: plan.clone() };
    let changes = if now == plan { Vec::new() } else { vec![Change::ChooseRatePlan { payer, plan }] };
    turn.finish(Draft::new(StatusCode::OK, changes, view)).await
}

/// Makes sure that whoever is to pay exists.
async fn there(api: &Api, ask: &Ask, payer: &Payer, kind: Option<Kind>) -> Result<(), Refusal> {
    match kind {
        Some(kind) => owner::visible(api, &ask.holder, payer.id().to_owned(), kind).await.map(drop),
        None => {
            let found = api.store.account(payer.id().to_owned()).await;
            let found = found.map_err(|error| trouble(api, "api_read", error))?;
            found.map(drop).ok_or_else(Refusal::not_found)
        }
    }
}
