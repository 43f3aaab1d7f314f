//! The webhook of a trunk or an application: how its endpoint does, a probe, a new secret, on and off.
//!
//! A new secret is a write like any other; the rest is no configuration and makes no revision. Must never show a secret but
//! in the one answer that brings it.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Serialize;
use trunk_admission::model::Kind;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, time};
use super::ask::Ask;
use super::etag::ETag;
use super::problem::Refusal;
use super::turn::{Draft, Written};
use super::{Api, REQUEST_TIMEOUT, owner, trouble};
use crate::change::Change;
use crate::domain::{Millis, OldSecret, Webhook};
use crate::secret::WebhookSecret;
use crate::store::{EndpointReport, PlacedTrunk};
use crate::webhook::probe::{self, Probed};

/// The longest probe: its outcome must be told before the request itself takes too long.
const PROBE_TIME: Duration = REQUEST_TIMEOUT.saturating_sub(Duration::from_secs(2));

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(trunk_read))
        .routes(routes!(trunk_test))
        .routes(routes!(trunk_enable))
        .routes(routes!(trunk_disable))
        .routes(routes!(trunk_rotate))
        .routes(routes!(application_read))
        .routes(routes!(application_test))
        .routes(routes!(application_enable))
        .routes(routes!(application_disable))
        .routes(routes!(application_rotate))
}

/// How an endpoint does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookStatus)]
struct Status {
    /// Whether events are sent. A receiver that answers 410 ends that; what is owed is kept.
    enabled: bool,
    /// Why they are not.
    reason: Option<String>,
    /// When that changed last.
    #[schema(format = DateTime)]
    changed_at: String,
    /// Events that are or will be tried.
    pending: i64,
    /// Since when the oldest of them waits.
    #[schema(format = DateTime)]
    oldest_pending_at: Option<String>,
    /// Events that are tried no more, until they are sent again by hand.
    parked: i64,
}

impl From<EndpointReport> for Status {
    fn from(report: EndpointReport) -> Status {
        Status {
            enabled: report.enabled,
            reason: Some(report.note).filter(|note| !note.is_empty()),
            changed_at: time(report.changed_ms),
            pending: report.pending,
            oldest_pending_at: report.oldest_pending_ms.map(time),
            parked: report.parked,
        }
    }
}

/// A secret that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RotatedSecret)]
struct Rotated {
    /// Signs events from now on. Shown in this answer only.
    webhook_secret: String,
    /// Until when the one before signs too.
    #[schema(format = DateTime)]
    previous_secret_until: String,
}

/// What came of a probe.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookTest)]
struct Tested {
    /// Whether the receiver took it.
    delivered: bool,
    /// Id of the probe, as the receiver saw it.
    webhook_id: String,
    /// What was done: the URL, and the fallback if there is one and the URL did not take it.
    attempts: Vec<TestedAttempt>,
}

/// One attempt to deliver a probe.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookTestAttempt)]
struct TestedAttempt {
    url: String,
    /// One word: `delivered`, `gone`, `redirect`, `refused`, `error`, `denied`, `timeout`, `connect`, `broken`.
    outcome: &'static str,
    duration_ms: Millis,
    /// HTTP status, if one came.
    status: Option<u16>,
    /// What went wrong.
    error: Option<String>,
    /// The beginning of the answer's body.
    answer: String,
}

impl From<Probed> for Tested {
    fn from(probed: Probed) -> Tested {
        let attempts = probed.attempts.into_iter().map(|attempt| TestedAttempt {
            url: attempt.url,
            outcome: attempt.outcome,
            duration_ms: attempt.duration_ms,
            status: attempt.told.status,
            error: attempt.told.error,
            answer: String::from_utf8_lossy(&attempt.told.answer).into_owned(),
        });
        Tested { delivered: probed.delivered, webhook_id: probed.event_id, attempts: attempts.collect() }
    }
}

fn no_webhook() -> Refusal {
    Refusal::new(StatusCode::CONFLICT, "no_webhook", "there is no webhookUrl: set one first")
}

async fn found(api: &Api, ask: &Ask, id: String, kind: Kind) -> Result<(PlacedTrunk, Webhook), Refusal> {
    let found = owner::visible(api, &ask.holder, id, kind).await?;
    let webhook = found.item.webhook.clone().ok_or_else(no_webhook)?;
    Ok((found, webhook))
}

async fn read(api: &Api, ask: &Ask, id: String, kind: Kind) -> Answer {
    ask.no_query()?;
    let found = owner::visible(api, &ask.holder, id, kind).await?;
    let report = api.store.endpoint(found.item.id).await.map_err(|error| trouble(api, "api_read", error))?;
    // Asked about, what is not there is not found; only what would be done to it stands against it.
    let report = report.ok_or_else(|| no_webhook().with_status(StatusCode::NOT_FOUND, "no_webhook"))?;
    Ok(Json(Status::from(report)).into_response())
}

async fn test(api: &Api, ask: &Ask, id: String, kind: Kind) -> Answer {
    ask.no_query()?;
    ask.no_write()?;
    let (found, webhook) = found(api, ask, id, kind).await?;
    let probed = probe::send(&*api.transport, &*api.clock, &webhook, &found.item.id, PROBE_TIME).await;
    Ok(Json(Tested::from(probed)).into_response())
}

async fn switch(api: &Api, ask: &Ask, id: String, kind: Kind, enabled: bool) -> Answer {
    ask.no_query()?;
    ask.no_write()?;
    let (found, _) = found(api, ask, id, kind).await?;
    let id = found.item.id;
    let switched = api.store.enable_endpoint(id.clone(), enabled, api.clock.now_ms()).await;
    let endpoint = switched.map_err(|error| trouble(api, "api_write", error))?.ok_or_else(no_webhook)?;
    tracing::info!(trunk = id, enabled, token = %ask.holder.token, "the webhook was switched");
    api.wakes.wake(&[endpoint]);
    let report = api.store.endpoint(id).await.map_err(|error| trouble(api, "api_read", error))?;
    Ok(Json(Status::from(report.ok_or_else(no_webhook)?)).into_response())
}

async fn rotate(api: &Api, ask: &Ask, id: String, kind: Kind) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let turn = api.turn(ask, &[], wait).await?;
    let now = owner::writable(api, &turn, &ask.holder, &id, kind).await?.item;
    // Two who rotate what they have both read must not make the secret before it forgotten, which receivers still know.
    ask.conditions.check(&ETag::new(now.stamp.revision))?;
    let mut after = now.clone();
    let webhook = after.webhook.as_mut().ok_or_else(no_webhook)?;
    let secret = WebhookSecret::random();
    let old = std::mem::replace(&mut webhook.secret, secret.clone());
    let old = OldSecret::of(old, turn.session.now_ms());
    let until_ms = old.until_ms;
    webhook.old_secret = Some(old);
    turn.session.settle(&mut after, Some(&now));
    let rotated =
        Rotated { webhook_secret: secret.reveal().to_owned(), previous_secret_until: time(until_ms) };
    let tag = ETag::new(after.stamp.revision);
    let changes = vec![Change::PutTrunk(Box::new(after))];
    turn.finish(Draft::new(StatusCode::OK, changes, rotated).etag(tag)).await
}

/// How the endpoint of a trunk does.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/webhook", tag = "webhooks",
    responses((status = 200, description = "How it does", body = Status)))]
async fn trunk_read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    read(&api, &ask, id, Kind::Trunk).await
}

/// Sends a signed probe (`webhook.test`) now and tells what happened. It is not tried again and is no event.
#[utoipa::path(post, path = "/v1/trunks/{trunkId}/webhook/test", tag = "webhooks",
    responses((status = 200, description = "What happened", body = Tested)))]
async fn trunk_test(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    test(&api, &ask, id, Kind::Trunk).await
}

/// Has events sent again, those first that are owed.
#[utoipa::path(post, path = "/v1/trunks/{trunkId}/webhook/enable", tag = "webhooks",
    responses((status = 200, description = "How it does", body = Status)))]
async fn trunk_enable(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    switch(&api, &ask, id, Kind::Trunk, true).await
}

/// Has no events sent until it is enabled again; all of them are kept.
#[utoipa::path(post, path = "/v1/trunks/{trunkId}/webhook/disable", tag = "webhooks",
    responses((status = 200, description = "How it does", body = Status)))]
async fn trunk_disable(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    switch(&api, &ask, id, Kind::Trunk, false).await
}

/// Makes a new secret, shown in this answer only. For 24 hours events are signed with the one before too.
#[utoipa::path(post, path = "/v1/trunks/{trunkId}/webhook/rotate-secret", tag = "trunks",
    responses((status = 200, description = "The new secret", body = Written<Rotated>)))]
async fn trunk_rotate(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    rotate(&api, &ask, id, Kind::Trunk).await
}

/// How the endpoint of a voice application does.
#[utoipa::path(get, path = "/v1/voice-applications/{applicationId}/webhook", tag = "webhooks",
    responses((status = 200, description = "How it does", body = Status)))]
async fn application_read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    read(&api, &ask, id, Kind::Application).await
}

/// Sends a signed probe (`webhook.test`) now and tells what happened. It is not tried again and is no event.
#[utoipa::path(post, path = "/v1/voice-applications/{applicationId}/webhook/test", tag = "webhooks",
    responses((status = 200, description = "What happened", body = Tested)))]
async fn application_test(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    test(&api, &ask, id, Kind::Application).await
}

/// Has events sent again, those first that are owed.
#[utoipa::path(post, path = "/v1/voice-applications/{applicationId}/webhook/enable", tag = "webhooks",
    responses((status = 200, description = "How it does", body = Status)))]
async fn application_enable(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    switch(&api, &ask, id, Kind::Application, true).await
}

/// Has no events sent until it is enabled again; all of them are kept.
#[utoipa::path(post, path = "/v1/voice-applications/{applicationId}/webhook/disable", tag = "webhooks",
    responses((status = 200, description = "How it does", body = Status)))]
async fn application_disable(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    switch(&api, &ask, id, Kind::Application, false).await
}

/// Makes a new secret, shown in this answer only. For 24 hours events are signed with the one before too.
#[utoipa::path(post, path = "/v1/voice-applications/{applicationId}/webhook/rotate-secret",
    tag = "voice-applications",
    responses((status = 200, description = "The new secret", body = Written<Rotated>)))]
async fn application_rotate(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    rotate(&api, &ask, id, Kind::Application).await
}
