//! Addresses of a trunk: IPv4 and IPv6, single ones and networks.

use axum::extract::{Path, State};
use trunk_admission::model::Kind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{self, Answer, List};
use super::ask::Ask;
use super::body::Body;
use super::schema::{IpAclCreate, IpAclPatch};
use super::turn::{Nothing, Written};
use super::view::IpAcl;
use super::{Api, owner, parts};
use crate::domain;
use crate::edit::parts::ip_acl;
use crate::input::section::Section;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove))
}

/// What a body may say about an address.
pub(super) fn edit(section: &Section<'_>, now: Option<domain::IpAcl>) -> Option<domain::IpAcl> {
    section.read_only(&["ipAclId", "createdAt", "updatedAt", "configRevision"]);
    ip_acl(section, now)
}

/// A trunk's addresses.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/ip-acls", tag = "ip-acls",
    responses((status = 200, description = "A page of addresses", body = List<IpAcl>)))]
async fn list(State(api): State<Api>, Path(trunk): Path<String>, ask: Ask) -> Answer {
    let (page, ()) = ask.page(|_| ())?;
    let found = owner::visible(&api, &ask.holder, trunk, Kind::Trunk).await?;
    answer::slice(page, &found.item.ip_acls, |acl| IpAcl::from(acl))
}

/// Adds an address.
#[utoipa::path(post, path = "/v1/trunks/{trunkId}/ip-acls", tag = "ip-acls", request_body = IpAclCreate,
    responses((status = 201, description = "The address", body = Written<IpAcl>)))]
async fn create(State(api): State<Api>, Path(trunk): Path<String>, ask: Ask, body: Body) -> Answer {
    let read = |section: &Section<'_>, _: &str| edit(section, None).map(|acl| (acl, ()));
    parts::add(&api, &ask, &body, &trunk, read, |_, acl: &domain::IpAcl, ()| IpAcl::from(acl)).await
}

/// One address.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/ip-acls/{ipAclId}", tag = "ip-acls",
    responses((status = 200, description = "The address", body = IpAcl)))]
async fn read(State(api): State<Api>, Path((trunk, id)): Path<(String, String)>, ask: Ask) -> Answer {
    ask.no_query()?;
    let (found, index) = parts::find::<domain::IpAcl>(&api, &ask, trunk, &id).await?;
    let acl = &found.item.ip_acls[index];
    answer::object(&ask, &parts::etag(acl), IpAcl::from(acl))
}

/// Changes what the body names.
#[utoipa::path(patch, path = "/v1/trunks/{trunkId}/ip-acls/{ipAclId}", tag = "ip-acls", request_body = IpAclPatch,
    responses((status = 200, description = "The address", body = Written<IpAcl>)))]
async fn update(
    State(api): State<Api>,
    Path((trunk, id)): Path<(String, String)>,
    ask: Ask,
    body: Body,
) -> Answer {
    let read = |section: &Section<'_>, now, _: &str| edit(section, Some(now));
    parts::change(&api, &ask, &body, (&trunk, &id), read, |_, acl| IpAcl::from(acl)).await
}

/// Removes an address.
#[utoipa::path(delete, path = "/v1/trunks/{trunkId}/ip-acls/{ipAclId}", tag = "ip-acls",
    responses((status = 200, description = "It is gone", body = Written<Nothing>)))]
async fn remove(State(api): State<Api>, Path((trunk, id)): Path<(String, String)>, ask: Ask) -> Answer {
    parts::remove::<domain::IpAcl>(&api, &ask, &trunk, &id).await
}
