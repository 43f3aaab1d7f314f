//! Gateways of a trunk, with how they do.

use axum::extract::{Path, State};
use trunk_admission::model::Kind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{self, Answer, List};
use super::ask::Ask;
use super::body::Body;
use super::etag::ETag;
use super::schema::{OriginationUriCreate, OriginationUriPatch};
use super::turn::{Nothing, Written};
use super::view::Gateway;
use super::{Api, owner, parts};
use crate::domain::{self, OriginationUri};
use crate::edit::parts::origination_uri;
use crate::input::section::Section;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove))
}

/// What a body may say about a gateway.
pub(super) fn edit(section: &Section<'_>, now: Option<OriginationUri>) -> Option<OriginationUri> {
    section.read_only(&[
        "originationUriId",
        "health",
        "addresses",
        "lookupProblem",
        "createdAt",
        "updatedAt",
        "configRevision",
    ]);
    origination_uri(section, now)
}

/// A trunk's gateways.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/origination-uris", tag = "origination-uris",
    responses((status = 200, description = "A page of gateways", body = List<Gateway>)))]
async fn list(State(api): State<Api>, Path(trunk): Path<String>, ask: Ask) -> Answer {
    let (page, ()) = ask.page(|_| ())?;
    let found = owner::visible(&api, &ask.holder, trunk, Kind::Trunk).await?;
    answer::slice(page, &api.gateways(&found), Gateway::clone)
}

/// Adds a gateway.
#[utoipa::path(post, path = "/v1/trunks/{trunkId}/origination-uris", tag = "origination-uris",
    request_body = OriginationUriCreate,
    responses((status = 201, description = "The gateway", body = Written<Gateway>)))]
async fn create(State(api): State<Api>, Path(trunk): Path<String>, ask: Ask, body: Body) -> Answer {
    let read = |section: &Section<'_>, _: &str| edit(section, None).map(|gateway| (gateway, ()));
    let show = |now: &_, gateway: &OriginationUri, ()| api.gateway(now, gateway);
    parts::add(&api, &ask, &body, &trunk, read, show).await
}

/// One gateway.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/origination-uris/{originationUriId}", tag = "origination-uris",
    responses((status = 200, description = "The gateway", body = Gateway)))]
async fn read(State(api): State<Api>, Path((trunk, id)): Path<(String, String)>, ask: Ask) -> Answer {
    ask.no_query()?;
    let (found, index) = parts::find::<OriginationUri>(&api, &ask, trunk, &id).await?;
    let gateway = &found.item.origination_uris[index];
    let view = api.gateway(&found, gateway);
    let etag = ETag::with_volatile(gateway.stamp.revision, view.moving());
    answer::object(&ask, &etag, view)
}

/// Changes what the body names.
#[utoipa::path(patch, path = "/v1/trunks/{trunkId}/origination-uris/{originationUriId}", tag = "origination-uris",
    request_body = OriginationUriPatch,
    responses((status = 200, description = "The gateway", body = Written<Gateway>)))]
async fn update(
    State(api): State<Api>,
    Path((trunk, id)): Path<(String, String)>,
    ask: Ask,
    body: Body,
) -> Answer {
    let read = |section: &Section<'_>, now, _: &str| edit(section, Some(now));
    let show = |now: &_, gateway: &domain::OriginationUri| api.gateway(now, gateway);
    parts::change(&api, &ask, &body, (&trunk, &id), read, show).await
}

/// Removes a gateway. Calls that it has stay up.
#[utoipa::path(delete, path = "/v1/trunks/{trunkId}/origination-uris/{originationUriId}", tag = "origination-uris",
    responses((status = 200, description = "It is gone", body = Written<Nothing>)))]
async fn remove(State(api): State<Api>, Path((trunk, id)): Path<(String, String)>, ask: Ask) -> Answer {
    parts::remove::<OriginationUri>(&api, &ask, &trunk, &id).await
}
