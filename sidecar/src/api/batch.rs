//! Many trunks in one request: all of them are made, or none.
//!
//! One transaction and one revision for the lot, so that importing 100,000 trunks costs some hundred of them.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use trunk_admission::model::Kind;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::Answer;
use super::ask::Ask;
use super::body::{Body, object, reading};
use super::problem::{Fault, Refusal};
use super::schema::TrunkBatch;
use super::trunks::{NewCredential, NewTrunk, Secrets, edit_new};
use super::turn::{Draft, Turn, Written};
use super::{Api, trouble};
use crate::change::Change;
use crate::domain::{ManagedBy, Scope, Trunk};
use crate::edit;
use crate::input::json;
use crate::input::problem::Broken;
use crate::input::section::Source;
use crate::input::tree::Tree;

/// Most trunks of one batch.
pub(super) const MAX_BATCH: usize = 5_000;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create))
}

/// What a batch has made.
#[derive(Debug, Serialize, ToSchema)]
struct Made {
    /// In the order of the request.
    objects: Vec<MadeTrunk>,
}

/// One trunk of a batch: what its maker cannot know.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MadeTrunk {
    trunk_id: String,
    trunk_domain: String,
    /// Shown in this answer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<String>,
    /// Digest users that came without a password.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    credentials: Vec<NewCredential>,
}

/// Makes trunks: a JSON array, or one JSON object a line (`application/x-ndjson`). All of them or none.
#[utoipa::path(post, path = "/v1/trunks:batch", tag = "trunks",
    request_body(content((TrunkBatch = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 201, description = "The trunks", body = Written<Made>)))]
async fn create(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let (trunks, mut faults) = reading(|source| {
        let entries = entries(&body, source)?;
        if !(1..=MAX_BATCH).contains(&entries.len()) {
            let rule = format!("has {} trunks; 1 to {MAX_BATCH} are allowed", entries.len());
            source.problem("", Broken::new("out_of_range", rule));
            return None;
        }
        let read = |(index, tree)| new_trunk(&api, tree, &format!("/{index}"), source);
        Some(entries.iter().enumerate().filter_map(read).collect::<Vec<_>>())
    });
    let Some(mut trunks) = trunks.filter(|_| faults.is_empty()) else {
        return Err(Refusal::of_faults(faults).into());
    };
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    owners(&api, &turn, &ask, &mut trunks, &mut faults).await?;
    if !faults.is_empty() {
        return Err(Refusal::of_faults(faults).into());
    }
    for (trunk, _) in &mut trunks {
        turn.session.settle(trunk, None);
    }
    let objects = trunks.iter().map(|(trunk, secrets)| MadeTrunk::new(&api, trunk, secrets)).collect();
    let changes = trunks.into_iter().map(|(trunk, _)| Change::PutTrunk(Box::new(trunk))).collect();
    turn.finish(Draft::new(StatusCode::CREATED, changes, Made { objects })).await
}

/// The values of the batch; `None` after a fault that leaves none.
fn entries(body: &Body, source: Source<'_>) -> Option<Vec<Tree>> {
    if body.lines {
        let lines = body.bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        // A line that is no JSON does not keep the others from being read.
        let read: Vec<_> =
            lines.enumerate().map(|(index, line)| json::parse(line, &format!("/{index}"), source)).collect();
        return read.into_iter().collect();
    }
    match json::parse(&body.bytes, "", source)? {
        Tree::List(entries) => Some(entries),
        other => {
            let rule = format!("must be a list of trunks, not {}", source.notation.word(other.kind()));
            source.problem("", Broken::new("wrong_type", rule));
            None
        }
    }
}

fn new_trunk(api: &Api, tree: &Tree, path: &str, source: Source<'_>) -> Option<(Trunk, Secrets)> {
    let mut trunk = edit::trunk::new(Uuid::now_v7().to_string(), Kind::Trunk, ManagedBy::Api);
    let (realm, urls) = (api.names.trunk_domain(&trunk.id), api.url_rules());
    let secrets = object(tree, path, source, |section| edit_new(section, &mut trunk, &realm, &urls))?;
    Some((trunk, secrets))
}

/// As [`super::owner::settle`], with one question to the store for all trunks together.
async fn owners(
    api: &Api,
    turn: &Turn<'_>,
    ask: &Ask,
    trunks: &mut [(Trunk, Secrets)],
    faults: &mut Vec<Fault>,
) -> Result<(), Refusal> {
    let mut named: Vec<String> = trunks.iter().filter_map(|(trunk, _)| trunk.account.clone()).collect();
    named.sort_unstable();
    named.dedup();
    let known = turn.session.store().accounts(named).await;
    let known = known.map_err(|error| trouble(api, "api_read", error))?;
    for (index, (trunk, _)) in trunks.iter_mut().enumerate() {
        if let (Scope::Account(own), None) = (&ask.holder.scope, &trunk.account) {
            trunk.account = Some(own.clone());
        }
        let Some(account) = &trunk.account else { continue };
        let foreign = ask.holder.account().is_some_and(|own| own != account);
        if foreign || !known.iter().any(|placed| placed.item.id == *account) && ask.holder.account().is_none()
        {
            let (pointer, detail) = (format!("/{index}/accountId"), "there is no such account".to_owned());
            faults.push(Fault { pointer, code: "unknown_account", detail });
        }
    }
    Ok(())
}

impl MadeTrunk {
    fn new(api: &Api, trunk: &Trunk, secrets: &Secrets) -> MadeTrunk {
        let NewTrunk { webhook_secret, credentials, .. } = NewTrunk::new(api, trunk, secrets);
        let trunk_domain = api.names.trunk_domain(&trunk.id);
        MadeTrunk { trunk_id: trunk.id.clone(), trunk_domain, webhook_secret, credentials }
    }
}
