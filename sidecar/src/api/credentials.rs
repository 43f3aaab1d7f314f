//! Digest users of a trunk. A password is kept as its hashes alone; one that is made here is shown once.

use axum::extract::{Path, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{self, Answer, List};
use super::ask::Ask;
use super::body::Body;
use super::schema::{CredentialCreate, CredentialPatch};
use super::trunks::NewCredential;
use super::turn::{Nothing, Written};
use super::view::Credential;
use super::{Api, owner, parts};
use crate::domain;
use crate::edit::parts::{Passwords, credential};
use crate::input::section::Section;
use crate::secret::Password;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove))
}

/// What a body may say about a digest user.
pub(super) fn edit(
    section: &Section<'_>,
    now: Option<domain::Credential>,
    realm: &str,
) -> Option<(domain::Credential, Option<Password>)> {
    section.read_only(&["credentialId", "createdAt", "updatedAt", "configRevision"]);
    credential(section, now, Some(realm), Passwords::Made)
}

/// A trunk's digest users.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/credentials", tag = "credentials",
    responses((status = 200, description = "A page of digest users", body = List<Credential>)))]
async fn list(State(api): State<Api>, Path(trunk): Path<String>, ask: Ask) -> Answer {
    let (page, ()) = ask.page(|_| ())?;
    let found = owner::visible(&api, &ask.holder, trunk, trunk_admission::model::Kind::Trunk).await?;
    answer::slice(page, &found.item.credentials, |user| Credential::from(user))
}

/// Adds a digest user. Without `password` one is made, and shown in this answer only.
#[utoipa::path(post, path = "/v1/trunks/{trunkId}/credentials", tag = "credentials", request_body = CredentialCreate,
    responses((status = 201, description = "The digest user", body = Written<NewCredential>)))]
async fn create(State(api): State<Api>, Path(trunk): Path<String>, ask: Ask, body: Body) -> Answer {
    let read = |section: &Section<'_>, realm: &str| edit(section, None, realm);
    parts::add(&api, &ask, &body, &trunk, read, |_, user: &domain::Credential, made: Option<Password>| {
        let password = made.map(|password| password.reveal().to_owned());
        NewCredential { object: Credential::from(user), password }
    })
    .await
}

/// One digest user.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/credentials/{credentialId}", tag = "credentials",
    responses((status = 200, description = "The digest user", body = Credential)))]
async fn read(State(api): State<Api>, Path((trunk, id)): Path<(String, String)>, ask: Ask) -> Answer {
    ask.no_query()?;
    let (found, index) = parts::find::<domain::Credential>(&api, &ask, trunk, &id).await?;
    let user = &found.item.credentials[index];
    answer::object(&ask, &parts::etag(user), Credential::from(user))
}

/// Changes what the body names; a new password is in force with the next call.
#[utoipa::path(patch, path = "/v1/trunks/{trunkId}/credentials/{credentialId}", tag = "credentials",
    request_body = CredentialPatch,
    responses((status = 200, description = "The digest user", body = Written<Credential>)))]
async fn update(
    State(api): State<Api>,
    Path((trunk, id)): Path<(String, String)>,
    ask: Ask,
    body: Body,
) -> Answer {
    let read =
        |section: &Section<'_>, now, realm: &str| edit(section, Some(now), realm).map(|(user, _)| user);
    parts::change(&api, &ask, &body, (&trunk, &id), read, |_, user| Credential::from(user)).await
}

/// Removes a digest user: the next call that uses it is refused.
#[utoipa::path(delete, path = "/v1/trunks/{trunkId}/credentials/{credentialId}", tag = "credentials",
    responses((status = 200, description = "It is gone", body = Written<Nothing>)))]
async fn remove(State(api): State<Api>, Path((trunk, id)): Path<(String, String)>, ask: Ask) -> Answer {
    parts::remove::<domain::Credential>(&api, &ask, &trunk, &id).await
}
