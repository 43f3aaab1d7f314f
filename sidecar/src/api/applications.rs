//! Voice applications: an inbound URI that lives and dies with `inboundSipCallsEnabled`; see [`crate::edit::application`].

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
use super::schema::VoiceApplicationBody;
use super::trunks::edit_owner;
use super::turn::{Draft, Nothing, Written};
use super::view::Application;
use super::{Api, owner, trouble};
use crate::change::Change;
use crate::domain::{self, ManagedBy};
use crate::edit;
use crate::edit::application::Rules;
use crate::edit::webhook::Key;
use crate::input::rules;
use crate::input::section::Section;
use crate::secret::{Password, WebhookSecret};
use crate::store::{PlacedTrunk, TrunkFilter};
use crate::webhook::UrlRules;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove))
}

/// A voice application as a write leaves it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WrittenVoiceApplication)]
struct WrittenApplication {
    #[serde(flatten)]
    object: Application,
    /// The password of its callers. Shown in the answer to the write that made it only.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_auth_password: Option<String>,
    /// Signs the events that `webhookUrl` is sent. Shown in the answer that brings it only.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<String>,
}

/// What is shown once of an application.
type Secrets = (Option<Password>, Option<WebhookSecret>);

/// What a body may say about an application.
pub(super) fn edit(
    section: &Section<'_>,
    app: &mut domain::Trunk,
    rules: Rules<'_>,
    urls: &UrlRules,
) -> Secrets {
    section.read_only(&[
        "applicationId",
        "sipUri",
        "sipAuthPassword",
        "webhookSecret",
        "webhookPublicKey",
        "managedBy",
        "createdAt",
        "updatedAt",
        "configRevision",
        "warnings",
    ]);
    edit_owner(section, app);
    let password = edit::application::application(section, app, rules);
    (password, edit::webhook::webhook(section, app, urls, Key::Made))
}

impl Api {
    fn application(&self, placed: &PlacedTrunk) -> Application {
        Application::new(&placed.item, &self.names.inbound_host, self.gateways(placed))
    }

    fn written(
        &self,
        app: &domain::Trunk,
        before: Option<&PlacedTrunk>,
        secrets: &Secrets,
    ) -> WrittenApplication {
        let gateways = app.origination_uris.iter().map(|gateway| match before {
            Some(before) => self.gateway(before, gateway),
            None => self.new_gateway(gateway),
        });
        let gateways = gateways.collect();
        let (password, webhook) = secrets;
        WrittenApplication {
            object: Application::new(app, &self.names.inbound_host, gateways),
            sip_auth_password: password.as_ref().map(|password| password.reveal().to_owned()),
            webhook_secret: webhook.as_ref().map(|secret| secret.reveal().to_owned()),
        }
    }

    fn application_rules(&self) -> Rules<'_> {
        Rules { inbound_host: &self.names.inbound_host, allow_private: self.settings.allow_private_sources }
    }
}

fn etag(app: &domain::Trunk) -> ETag {
    ETag::new(app.stamp.revision)
}

/// The version of an application together with how its gateways do.
fn shown_etag(app: &domain::Trunk, view: &Application) -> ETag {
    ETag::with_volatile(app.stamp.revision, view.healths())
}

/// All voice applications; to an account's token its own.
#[utoipa::path(get, path = "/v1/voice-applications", tag = "voice-applications",
    params(("accountId" = Option<String>, Query, description = "Those of this account only")),
    responses((status = 200, description = "A page of voice applications", body = List<Application>)))]
async fn list(State(api): State<Api>, ask: Ask) -> Answer {
    let (page, account) = ask.page(|section| section.parsed("accountId", rules::label))?;
    let filter = TrunkFilter {
        kind: Some(Kind::Application),
        account: owner::filter(&ask.holder, account)?,
        ..TrunkFilter::default()
    };
    let found = api.store.list_trunks(filter, page.into()).await;
    let found = found.map_err(|error| trouble(&api, "api_read", error))?;
    answer::list(page, found.total, found.objects.iter().map(|placed| api.application(placed)).collect())
}

/// Makes a voice application. Secrets that were made are shown in this answer only.
#[utoipa::path(post, path = "/v1/voice-applications", tag = "voice-applications", request_body = VoiceApplicationBody,
    responses((status = 201, description = "The voice application", body = Written<WrittenApplication>)))]
async fn create(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let mut app = edit::trunk::new(Uuid::now_v7().to_string(), Kind::Application, ManagedBy::Api);
    let (rules, urls) = (api.application_rules(), api.url_rules());
    let secrets = body.parse()?.read(|section| edit(section, &mut app, rules, &urls))?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    owner::settle(&api, &turn, &ask.holder, &mut app, None).await?;
    turn.session.settle(&mut app, None);
    let (object, tag) = (api.written(&app, None, &secrets), etag(&app));
    let path = format!("/v1/voice-applications/{}", app.id);
    let draft = Draft::new(StatusCode::CREATED, vec![Change::PutTrunk(Box::new(app))], object);
    turn.finish(draft.etag(tag).location(path)).await
}

/// One voice application. Its password is never shown again.
#[utoipa::path(get, path = "/v1/voice-applications/{applicationId}", tag = "voice-applications",
    responses((status = 200, description = "The voice application", body = Application)))]
async fn read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let found = owner::visible(&api, &ask.holder, id, Kind::Application).await?;
    let view = api.application(&found);
    answer::object(&ask, &shown_etag(&found.item, &view), view)
}

/// Changes what the body names. `passwordAuthEnabled: true` makes a new password each time it is sent;
/// `inboundSipCallsEnabled: false` clears URI, password and addresses.
#[utoipa::path(patch, path = "/v1/voice-applications/{applicationId}", tag = "voice-applications",
    request_body = VoiceApplicationBody,
    responses((status = 200, description = "The voice application", body = Written<WrittenApplication>)))]
async fn update(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: Body) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let said = body.parse()?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    let now = owner::writable(&api, &turn, &ask.holder, &id, Kind::Application).await?;
    ask.conditions.check(&etag(&now.item))?;
    let mut after = now.item.clone();
    let (rules, urls) = (api.application_rules(), api.url_rules());
    let secrets = said.read(|section| edit(section, &mut after, rules, &urls))?;
    owner::settle(&api, &turn, &ask.holder, &mut after, Some(&now.item)).await?;
    turn.session.settle(&mut after, Some(&now.item));
    let (object, tag) = (api.written(&after, Some(&now), &secrets), etag(&after));
    let changes = if after == now.item { Vec::new() } else { vec![Change::PutTrunk(Box::new(after))] };
    turn.finish(Draft::new(StatusCode::OK, changes, object).etag(tag)).await
}

/// Deletes a voice application. While calls are up only with `force=true`, which ends them.
#[utoipa::path(delete, path = "/v1/voice-applications/{applicationId}", tag = "voice-applications",
    params(("force" = Option<bool>, Query, description = "End the calls that are up")),
    responses((status = 200, description = "It is gone", body = Written<Nothing>)))]
async fn remove(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    let (wait, force) = ask.wait(|section| section.parsed("force", ask::flag))?;
    let turn = api.turn(&ask, &[], wait).await?;
    let now = owner::writable(&api, &turn, &ask.holder, &id, Kind::Application).await?;
    ask.conditions.check(&etag(&now.item))?;
    owner::remove(turn, now, force.unwrap_or(false)).await
}
