//! Rate plans: made and changed by administrators. What they cost lies in their rates, which are imported as a whole.
//!
//! A call is held to the rate that was there when its beginning was written down; a change here touches none that is.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Answer, List, time};
use super::ask::Ask;
use super::body::Body;
use super::etag::ETag;
use super::problem::Refusal;
use super::schema::{RatePlanCreate, RatePlanPatch};
use super::turn::{Draft, Nothing, Turn, Written};
use super::{Api, trouble};
use crate::change::Change;
use crate::domain::{RatePlan, Stamp, settle};
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove))
}

/// A rate plan. Its rates are below it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RatePlan)]
struct RatePlanView {
    rate_plan_id: String,
    name: String,
    description: String,
    /// ISO 4217.
    currency: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it or its rates changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<&RatePlan> for RatePlanView {
    fn from(plan: &RatePlan) -> RatePlanView {
        RatePlanView {
            rate_plan_id: plan.id.clone(),
            name: plan.name.clone(),
            description: plan.description.clone(),
            currency: plan.currency.clone(),
            created_at: time(plan.stamp.created_ms),
            updated_at: time(plan.stamp.updated_ms),
        }
    }
}

/// What a body may say about a rate plan that is there.
pub(super) fn edit(section: &Section<'_>, plan: &mut RatePlan) {
    section.read_only(&["ratePlanId", "createdAt", "updatedAt", "configRevision"]);
    if let Some(name) = section.parsed("name", rules::text) {
        plan.name = name;
    }
    if let Some(description) = section.parsed("description", rules::text) {
        plan.description = description;
    }
    if let Some(currency) = section.parsed("currency", currency) {
        plan.currency = currency;
    }
}

/// What a body may say about a new rate plan.
pub(super) fn edit_new(section: &Section<'_>, plan: &mut RatePlan) {
    section.require("currency");
    edit(section, plan);
}

fn currency(text: &str) -> Result<String, Broken> {
    let good = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let rule = "must be three capital letters as in ISO 4217, such as EUR";
    good.then(|| text.to_owned()).ok_or(Broken::new("invalid_currency", rule))
}

/// The version of a plan, which moves with its rates.
pub(super) fn etag(plan: &RatePlan) -> ETag {
    ETag::new(plan.stamp.revision)
}

/// All rate plans.
#[utoipa::path(get, path = "/v1/rate-plans", tag = "rate-plans",
    responses((status = 200, description = "A page of rate plans", body = List<RatePlanView>)))]
async fn list(State(api): State<Api>, ask: Ask) -> Answer {
    ask.holder.admin()?;
    let (page, ()) = ask.page(|_| ())?;
    let found = api.store.list_rate_plans(page.into()).await;
    let found = found.map_err(|error| trouble(&api, "api_read", error))?;
    answer::list(page, found.total, found.objects.iter().map(RatePlanView::from).collect())
}

/// Makes a rate plan, still without rates.
#[utoipa::path(post, path = "/v1/rate-plans", tag = "rate-plans", request_body = RatePlanCreate,
    responses((status = 201, description = "The rate plan", body = Written<RatePlanView>)))]
async fn create(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    ask.holder.admin()?;
    let (wait, ()) = ask.wait(|_| ())?;
    let mut plan = RatePlan {
        id: Uuid::now_v7().to_string(),
        name: String::new(),
        description: String::new(),
        currency: String::new(),
        stamp: Stamp::default(),
    };
    body.parse()?.read(|section| edit_new(section, &mut plan))?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    plan.stamp = turn.session.stamp();
    let (tag, path, view) = (etag(&plan), format!("/v1/rate-plans/{}", plan.id), RatePlanView::from(&plan));
    let draft = Draft::new(StatusCode::CREATED, vec![Change::PutRatePlan(plan)], view);
    turn.finish(draft.etag(tag).location(path)).await
}

/// One rate plan.
#[utoipa::path(get, path = "/v1/rate-plans/{ratePlanId}", tag = "rate-plans",
    responses((status = 200, description = "The rate plan", body = RatePlanView)))]
async fn read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.holder.admin()?;
    ask.no_query()?;
    let found = api.store.rate_plan(id).await.map_err(|error| trouble(&api, "api_read", error))?;
    let plan = found.ok_or_else(Refusal::not_found)?;
    answer::object(&ask, &etag(&plan), RatePlanView::from(&plan))
}

/// Changes what the body names. Calls that began before keep currency and price.
#[utoipa::path(patch, path = "/v1/rate-plans/{ratePlanId}", tag = "rate-plans", request_body = RatePlanPatch,
    responses((status = 200, description = "The rate plan", body = Written<RatePlanView>)))]
async fn update(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: Body) -> Answer {
    ask.holder.admin()?;
    let (wait, ()) = ask.wait(|_| ())?;
    let said = body.parse()?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    let now = writable(&api, &turn, &ask, &id).await?;
    let mut after = now.clone();
    said.read(|section| edit(section, &mut after))?;
    settle(&mut after, Some(&now), turn.session.stamp());
    let changes = if after == now { Vec::new() } else { vec![Change::PutRatePlan(after.clone())] };
    turn.finish(Draft::new(StatusCode::OK, changes, RatePlanView::from(&after)).etag(etag(&after))).await
}

/// Deletes a rate plan that nobody's calls go by any more, and its rates with it.
#[utoipa::path(delete, path = "/v1/rate-plans/{ratePlanId}", tag = "rate-plans",
    responses((status = 200, description = "It is gone", body = Written<Nothing>)))]
async fn remove(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.holder.admin()?;
    let (wait, ()) = ask.wait(|_| ())?;
    let turn = api.turn(&ask, &[], wait).await?;
    writable(&api, &turn, &ask, &id).await?;
    let payers = turn.session.store().rate_plan_payers(id.clone()).await;
    let payers = payers.map_err(|error| trouble(&api, "api_read", error))?;
    if payers > 0 {
        let detail = format!("{payers} accounts, trunks and applications go by it; give them another first");
        return Err(Refusal::new(StatusCode::CONFLICT, "rate_plan_in_use", detail).into());
    }
    turn.finish(Draft::new(StatusCode::OK, vec![Change::RemoveRatePlan(id)], Nothing {})).await
}

/// The plan as it is, if it has the version that the caller knows.
pub(super) async fn writable(api: &Api, turn: &Turn<'_>, ask: &Ask, id: &str) -> Result<RatePlan, Refusal> {
    let found = turn.session.store().rate_plan(id.to_owned()).await;
    let plan = found.map_err(|error| trouble(api, "api_read", error))?.ok_or_else(Refusal::not_found)?;
    ask.conditions.check(&etag(&plan))?;
    Ok(plan)
}
