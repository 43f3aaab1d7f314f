//! Trunks: their own fields. Their parts have paths of their own, and may come along when a trunk is made.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use trunk_admission::model::Kind;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Answer, List};
use super::ask::{self, Ask};
use super::body::Body;
use super::etag::ETag;
use super::owner;
use super::schema::{TrunkCreate, TrunkPatch};
use super::turn::{Draft, Nothing, Written};
use super::view::{Credential, Trunk};
use super::{Api, trouble};
use crate::change::Change;
use crate::domain::{self, ManagedBy};
use crate::edit::{self, parts::Passwords, webhook::Key};
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::{Given, Section};
use crate::secret::{Password, WebhookSecret};
use crate::store::TrunkFilter;
use crate::webhook::UrlRules;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove))
}

const READ_ONLY: [&str; 7] =
    ["trunkId", "trunkDomain", "webhookPublicKey", "managedBy", "createdAt", "updatedAt", "configRevision"];

/// A trunk that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewTrunk {
    #[serde(flatten)]
    object: Trunk,
    /// Signs the events that `webhookUrl` is sent. Shown in the answer that brings it only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_secret: Option<String>,
    /// Digest users that came without a password.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) credentials: Vec<NewCredential>,
}

/// A digest user whose password was made here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewCredential {
    #[serde(flatten)]
    pub(super) object: Credential,
    /// Shown in this answer only, and only if it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<String>,
}

/// What is shown once of a trunk.
#[derive(Default)]
pub(super) struct Secrets {
    webhook: Option<WebhookSecret>,
    passwords: Vec<(String, Password)>,
}

/// What a body may say about a new trunk.
pub(super) fn edit_new(
    section: &Section<'_>,
    trunk: &mut domain::Trunk,
    realm: &str,
    urls: &UrlRules,
) -> Secrets {
    let webhook = edit_own(section, trunk, urls);
    let passwords = edit::parts::lists(section, trunk, Some(realm), Passwords::Made);
    Secrets { webhook, passwords }
}

/// What a body may say about a trunk that is there.
pub(super) fn edit(section: &Section<'_>, trunk: &mut domain::Trunk, urls: &UrlRules) -> Secrets {
    let apart = Broken::new("not_here", "is changed under a path of its own below the trunk's");
    section.refuse(&domain::PARTS, &apart);
    Secrets { webhook: edit_own(section, trunk, urls), passwords: Vec::new() }
}

fn edit_own(section: &Section<'_>, trunk: &mut domain::Trunk, urls: &UrlRules) -> Option<WebhookSecret> {
    section.read_only(&READ_ONLY);
    edit_owner(section, trunk);
    edit::trunk::trunk(section, trunk);
    edit::webhook::webhook(section, trunk, urls, Key::Made)
}

/// `accountId`, of a trunk or an application.
pub(super) fn edit_owner(section: &Section<'_>, trunk: &mut domain::Trunk) {
    let account = section.given("accountId", |section, key| section.parsed(key, rules::label));
    match account {
        Given::Absent => {}
        Given::Null => trunk.account = None,
        Given::Value(account) => trunk.account = Some(account),
    }
}

impl NewTrunk {
    /// Shows a trunk with what is shown once.
    pub(super) fn new(api: &Api, trunk: &domain::Trunk, secrets: &Secrets) -> NewTrunk {
        let made = |user: &domain::Credential| {
            let (_, password) = secrets.passwords.iter().find(|(name, _)| *name == user.username)?;
            let password = Some(password.reveal().to_owned());
            Some(NewCredential { object: Credential::from(user), password })
        };
        NewTrunk {
            object: Trunk::new(trunk, &api.names.base_domain),
            webhook_secret: secrets.webhook.as_ref().map(|secret| secret.reveal().to_owned()),
            credentials: trunk.credentials.iter().filter_map(made).collect(),
        }
    }
}

fn etag(trunk: &domain::Trunk) -> ETag {
    ETag::new(trunk.stamp.revision)
}

/// All trunks; to an account's token its own.
#[utoipa::path(get, path = "/v1/trunks", tag = "trunks",
    params(("accountId" = Option<String>, Query, description = "Those of this account only")),
    responses((status = 200, description = "A page of trunks", body = List<Trunk>)))]
async fn list(State(api): State<Api>, ask: Ask) -> Answer {
    let (page, account) = ask.page(|section| section.parsed("accountId", rules::label))?;
    let filter = TrunkFilter {
        kind: Some(Kind::Trunk),
        account: owner::filter(&ask.holder, account)?,
        ..TrunkFilter::default()
    };
    let found = api.store.list_trunks(filter, page.into()).await;
    let found = found.map_err(|error| trouble(&api, "api_read", error))?;
    let view = |placed: &crate::store::PlacedTrunk| Trunk::new(&placed.item, &api.names.base_domain);
    answer::list(page, found.total, found.objects.iter().map(view).collect())
}

/// Makes a trunk, with its parts if the body has any. Secrets that were made are shown in this answer only.
#[utoipa::path(post, path = "/v1/trunks", tag = "trunks", request_body = TrunkCreate,
    responses((status = 201, description = "The trunk", body = Written<NewTrunk>)))]
async fn create(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let mut trunk = edit::trunk::new(Uuid::now_v7().to_string(), Kind::Trunk, ManagedBy::Api);
    let (realm, urls) = (api.names.trunk_domain(&trunk.id), api.url_rules());
    let secrets = body.parse()?.read(|section| edit_new(section, &mut trunk, &realm, &urls))?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    owner::settle(&api, &turn, &ask.holder, &mut trunk, None).await?;
    turn.session.settle(&mut trunk, None);
    let (object, tag) = (NewTrunk::new(&api, &trunk, &secrets), etag(&trunk));
    let path = format!("/v1/trunks/{}", trunk.id);
    let draft = Draft::new(StatusCode::CREATED, vec![Change::PutTrunk(Box::new(trunk))], object);
    turn.finish(draft.etag(tag).location(path)).await
}

/// One trunk.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}", tag = "trunks",
    responses((status = 200, description = "The trunk", body = Trunk)))]
async fn read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let found = owner::visible(&api, &ask.holder, id, Kind::Trunk).await?;
    answer::object(&ask, &etag(&found.item), Trunk::new(&found.item, &api.names.base_domain))
}

/// Changes what the body names.
#[utoipa::path(patch, path = "/v1/trunks/{trunkId}", tag = "trunks", request_body = TrunkPatch,
    responses((status = 200, description = "The trunk", body = Written<NewTrunk>)))]
async fn update(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: Body) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let said = body.parse()?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    let now = owner::writable(&api, &turn, &ask.holder, &id, Kind::Trunk).await?.item;
    ask.conditions.check(&etag(&now))?;
    let mut after = now.clone();
    let urls = api.url_rules();
    let secrets = said.read(|section| edit(section, &mut after, &urls))?;
    owner::settle(&api, &turn, &ask.holder, &mut after, Some(&now)).await?;
    turn.session.settle(&mut after, Some(&now));
    let (object, tag) = (NewTrunk::new(&api, &after, &secrets), etag(&after));
    let changes = if after == now { Vec::new() } else { vec![Change::PutTrunk(Box::new(after))] };
    turn.finish(Draft::new(StatusCode::OK, changes, object).etag(tag)).await
}

/// Deletes a trunk with all its parts. While calls are up only with `force=true`, which ends them.
#[utoipa::path(delete, path = "/v1/trunks/{trunkId}", tag = "trunks",
    params(("force" = Option<bool>, Query, description = "End the calls that are up")),
    responses((status = 200, description = "It is gone", body = Written<Nothing>)))]
async fn remove(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    let (wait, force) = ask.wait(|section| section.parsed("force", ask::flag))?;
    let turn = api.turn(&ask, &[], wait).await?;
    let now = owner::writable(&api, &turn, &ask.holder, &id, Kind::Trunk).await?;
    ask.conditions.check(&etag(&now.item))?;
    owner::remove(turn, now, force.unwrap_or(false)).await
}
