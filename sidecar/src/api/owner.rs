//! Trunks and applications as somebody's property: who sees one, who may change it, whose it becomes, and its end.
//!
//! To an account's token what belongs to others does not exist: same answer, same words.

use axum::http::StatusCode;
use trunk_admission::model::Kind;

use super::answer::Answer;
use super::problem::Refusal;
use super::token::Holder;
use super::turn::{Draft, Nothing, Turn};
use super::{Api, by_api, trouble};
use crate::change::Change;
use crate::domain::{Scope, Trunk};
use crate::store::PlacedTrunk;

/// Which account a list is confined to.
pub(super) fn filter(holder: &Holder, asked: Option<String>) -> Result<Option<String>, Refusal> {
    match (holder.account(), asked) {
        (None, asked) => Ok(asked),
        (Some(own), None) => Ok(Some(own.to_owned())),
        (Some(own), Some(asked)) if own == asked => Ok(Some(asked)),
        (Some(_), Some(_)) => Err(unknown("?accountId").with_status(StatusCode::BAD_REQUEST, "bad_query")),
    }
}

fn unknown(pointer: &str) -> Refusal {
    Refusal::fault(pointer, "unknown_account", "there is no such account")
}

/// A trunk or application, if the caller may see it.
pub(super) async fn visible(
    api: &Api,
    holder: &Holder,
    id: String,
    kind: Kind,
) -> Result<PlacedTrunk, Refusal> {
    let found = api.store.trunk(id).await.map_err(|error| trouble(api, "api_read", error))?;
    seen(found, holder, kind)
}

/// A trunk or application, if the caller may change it.
pub(super) async fn writable(
    api: &Api,
    turn: &Turn<'_>,
    holder: &Holder,
    id: &str,
    kind: Kind,
) -> Result<PlacedTrunk, Refusal> {
    let found = turn.session.trunk(id).await.map_err(|error| trouble(api, "api_read", error))?;
    let found = seen(found, holder, kind)?;
    by_api(found.item.managed_by)?;
    Ok(found)
}

/// What was found, if it is of this kind and the caller may see it.
pub(super) fn seen(found: Option<PlacedTrunk>, holder: &Holder, kind: Kind) -> Result<PlacedTrunk, Refusal> {
    let found =
        found.filter(|placed| placed.item.kind == kind && holder.sees(placed.item.account.as_deref()));
    found.ok_or_else(Refusal::not_found)
}

/// Makes sure that the owner exists and is one that the caller may name. What an account makes is its own.
pub(super) async fn settle(
    api: &Api,
    turn: &Turn<'_>,
    holder: &Holder,
    after: &mut Trunk,
    before: Option<&Trunk>,
) -> Result<(), Refusal> {
    if let Scope::Account(own) = &holder.scope {
        match &after.account {
            Some(named) if named != own => return Err(unknown("/accountId")),
            Some(_) => {}
            None if before.is_none() => after.account = Some(own.clone()),
            None => {
                let rule = "must be your account";
                return Err(Refusal::fault("/accountId", "unknown_account", rule));
            }
        }
    }
    let moved = before.is_none_or(|before| before.account != after.account);
    match &after.account {
        Some(account) if moved => known_account(api, turn, account).await,
        _ => Ok(()),
    }
}

/// Refuses an `accountId` that names no account.
pub(super) async fn known_account(api: &Api, turn: &Turn<'_>, id: &str) -> Result<(), Refusal> {
    let found = turn.session.account(id).await.map_err(|error| trouble(api, "api_read", error))?;
    found.map(drop).ok_or_else(|| unknown("/accountId"))
}

/// Deletes a trunk or application. While calls are up only by force, which ends them once no new ones come.
pub(super) async fn remove(turn: Turn<'_>, now: PlacedTrunk, force: bool) -> Answer {
    let (api, revision) = (turn.api().clone(), turn.session.revision());
    let calls = api.live_calls(now.live);
    if calls > 0 && !force {
        let detail = format!("{calls} calls are up; force=true ends them");
        return Err(Refusal::new(StatusCode::CONFLICT, "calls_up", detail).into());
    }
    if calls > 0 && api.kamailio.is_none() {
        let detail = format!("{calls} calls are up, and without kamailio.rpc_socket nobody can end them");
        return Err(Refusal::new(StatusCode::CONFLICT, "calls_cannot_end", detail).into());
    }
    let draft = Draft::new(StatusCode::OK, vec![Change::RemoveTrunk(now.item.id)], Nothing {});
    let answer = turn.finish(draft).await?;
    if let Some(client) = api.kamailio.clone().filter(|_| force) {
        api.end_calls(client, now.live, revision).await;
    }
    Ok(answer)
}
