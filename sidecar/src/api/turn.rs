//! A write, from the turn to the answer: keep the request apart from its repetition, commit, wait if asked to, answer.
//!
//! A client that hangs up stops nothing that was begun. Must never answer a write that is not on the disk.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Answer;
use super::ask::Ask;
use super::etag::ETag;
use super::problem::Refusal;
use super::repeat::Repeatable;
use super::{Api, trouble};
use crate::change::{Change, Session, Write};
use crate::domain::{Actor, Scope};
use crate::store::StoreError;

/// How long `?wait=applied` waits.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);
/// Says that an answer is a kept one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What every answer to a write says beside the object.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<T> {
    #[serde(flatten)]
    pub(super) object: T,
    /// The configuration revision that holds this write.
    pub(super) config_revision: i64,
    /// With `?wait=applied`: whether the revision is in force. It will be if it is not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) applied: Option<bool>,
}

/// What is answered where no object is left.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nothing {}

/// What a write is going to do, and to answer.
pub(super) struct Draft {
    pub(super) status: StatusCode,
    /// Nothing is written if there are none.
    pub(super) changes: Vec<Change>,
    /// The answer's object.
    pub(super) object: Map<String, Value>,
    pub(super) etag: Option<ETag>,
    /// Path of what was made.
    pub(super) location: Option<String>,
    /// Tokens that are proved no longer.
    pub(super) revoked: Option<Revoked>,
}

/// Tokens that are proved no longer.
#[derive(Clone, Debug)]
pub(super) enum Revoked {
    /// This one.
    Token(Uuid),
    /// Those of this account.
    Account(String),
}

impl Draft {
    /// An answer with this object.
    pub(super) fn new<T: Serialize>(status: StatusCode, changes: Vec<Change>, object: T) -> Draft {
        let object = match serde_json::to_value(object) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        };
        Draft { status, changes, object, etag: None, location: None, revoked: None }
    }

    /// With the object's version.
    pub(super) fn etag(self, etag: ETag) -> Draft {
        Draft { etag: Some(etag), ..self }
    }

    /// With the path of what was made.
    pub(super) fn location(self, path: String) -> Draft {
        Draft { location: Some(path), ..self }
    }
}

/// An answer as it is kept for a repetition.
#[derive(Debug, Deserialize, Serialize)]
struct Kept {
    object: Map<String, Value>,
    etag: Option<String>,
    location: Option<String>,
}

/// The turn to write.
pub(super) struct Turn<'a> {
    pub(super) session: Session,
    api: &'a Api,
    ask: &'a Ask,
    wait: bool,
    repeatable: Option<Repeatable>,
}

impl Api {
    /// Waits for the turn. Ends early with the answer that was kept, if the request is a repetition.
    pub(super) async fn turn<'a>(
        &'a self,
        ask: &'a Ask,
        body: &[u8],
        wait: bool,
    ) -> Result<Turn<'a>, Response> {
        let repeatable = ask.repeatable(body)?;
        let session = self.writer.begin().await.map_err(|error| failed(self, error))?;
        let turn = Turn { session, api: self, ask, wait, repeatable };
        match turn.kept().await? {
            Some(response) => Err(response),
            None => Ok(turn),
        }
    }
}

impl Turn<'_> {
    /// The API that this is a write to.
    pub(super) fn api(&self) -> &Api {
        self.api
    }

    async fn kept(&self) -> Result<Option<Response>, Response> {
        let Some(repeatable) = &self.repeatable else { return Ok(None) };
        let (holder, now_ms) = (&self.ask.holder, self.session.now_ms());
        let found = self.session.store().kept_answer(holder.token, repeatable.key.clone(), now_ms).await;
        let Some(record) = found.map_err(|error| failed(self.api, error))? else { return Ok(None) };
        let (status, text) = repeatable.answer(holder, &record)?;
        let kept = serde_json::from_slice(&text)
            .map_err(|_| Refusal::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
        let mut response = respond(self.api, status, kept, self.wait).await;
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(Some(response))
    }

    /// Commits the draft and answers it.
    pub(super) async fn finish(self, draft: Draft) -> Answer {
        let Turn { session, api, ask, wait, repeatable } = self;
        let writes = !draft.changes.is_empty();
        let revision = if writes { session.revision() } else { session.base() };
        let mut object = draft.object;
        object.insert("configRevision".into(), revision.into());
        let kept = Kept {
            object,
            etag: draft.etag.and_then(|etag| etag.header().to_str().ok().map(str::to_owned)),
            location: draft.location,
        };
        if writes {
            let text = serde_json::to_vec(&kept).unwrap_or_default();
            let record = |key: Repeatable| key.record(&ask.holder, draft.status, &text, session.now_ms());
            let write = Write {
                actor: Actor::Token(ask.holder.token),
                request_id: ask.request.0.clone(),
                changes: draft.changes,
                idempotency: repeatable.map(record),
            };
            let hooked = hooked(&write.changes);
            commit(api, session, write, draft.revoked).await.map_err(|error| failed(api, error))?;
            api.wakes.changed(hooked);
        }
        Ok(respond(api, draft.status, kept, wait).await)
    }
}

/// Those trunks and applications among what changes that have a webhook.
fn hooked(changes: &[Change]) -> Vec<String> {
    let hooked = |change: &Change| match change {
        Change::PutTrunk(trunk) if trunk.webhook.is_some() => Some(trunk.id.clone()),
        _ => None,
    };
    changes.iter().filter_map(hooked).collect()
}

/// Commits, and forgets revoked tokens even if nobody waits any more.
async fn commit(
    api: &Api,
    session: Session,
    write: Write,
    revoked: Option<Revoked>,
) -> Result<(), StoreError> {
    let gate = std::sync::Arc::clone(&api.gate);
    let task = api.tracker.spawn(async move {
        let committed = session.commit(write).await;
        match revoked {
            Some(Revoked::Token(id)) => gate.proved.forget(|holder| holder.token == id),
            Some(Revoked::Account(id)) => {
                gate.proved.forget(|holder| holder.scope == Scope::Account(id.clone()))
            }
            None => {}
        }
        committed.map(drop)
    });
    task.await.unwrap_or_else(|error| Err(StoreError::Other(format!("committing: {error}"))))
}

async fn respond(api: &Api, status: StatusCode, kept: Kept, wait: bool) -> Response {
    let Kept { mut object, etag, location } = kept;
    let mut status = status;
    if wait {
        let revision = object.get("configRevision").and_then(Value::as_i64).unwrap_or(0);
        let applied = api.writer.applied(revision, MAX_WAIT).await.is_ok();
        object.insert("applied".into(), applied.into());
        if !applied {
            status = StatusCode::ACCEPTED;
        }
    }
    let mut response = (status, Json(object)).into_response();
    for (name, text) in [(header::ETAG, etag), (header::LOCATION, location)] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A store's error as an answer; the writer has counted it already.
fn failed(api: &Api, error: StoreError) -> Response {
    trouble(api, "api_write", error).into()
}
