//! Tokens: made by administrators; an account sees and revokes its own.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Answer, List};
use super::ask::Ask;
use super::body::Body;
use super::etag::ETag;
use super::owner::known_account;
use super::problem::Refusal;
use super::schema::{TokenCreate, TokenPatch};
use super::turn::{Draft, Nothing, Revoked, Turn, Written};
use super::view::{NewToken, TokenView};
use super::{Api, trouble};
use crate::change::Change;
use crate::domain::{Scope, Token, settle};
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;
use crate::store::Page;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove))
}

const READ_ONLY: [&str; 6] = ["tokenId", "token", "lastUsedAt", "createdAt", "updatedAt", "configRevision"];

/// What a body says about a new token; `None` after a fault.
pub(super) fn edit_new(section: &Section<'_>) -> Option<(Scope, String)> {
    section.read_only(&READ_ONLY);
    let scope = section.parsed_required("scope", |text| match text {
        "admin" => Ok(false),
        "account" => Ok(true),
        _ => Err(Broken::new("invalid_scope", "must be admin or account")),
    });
    let account = section.parsed("accountId", rules::label);
    let description = section.parsed("description", rules::text).unwrap_or_default();
    let scope = match (scope?, account) {
        (true, Some(account)) => Scope::Account(account),
        (true, None) => {
            section.require("accountId");
            return None;
        }
        (false, None) => Scope::Admin,
        (false, Some(_)) => {
            section.problem("accountId", Broken::new("not_here", "has no place beside scope admin"));
            return None;
        }
    };
    Some((scope, description))
}

/// What a body may say about a token.
pub(super) fn edit(section: &Section<'_>, token: &mut Token) {
    section.read_only(&READ_ONLY);
    section.read_only(&["scope", "accountId"]);
    if let Some(description) = section.parsed("description", rules::text) {
        token.description = description;
    }
}

fn etag(token: &Token) -> ETag {
    ETag::with_volatile(token.stamp.revision, token.last_used_ms.unwrap_or(0))
}

/// All tokens; to an account's token those of its account. The tokens themselves are never shown again.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens",
    responses((status = 200, description = "A page of tokens", body = List<TokenView>)))]
async fn list(State(api): State<Api>, ask: Ask) -> Answer {
    let (page, ()) = ask.page(|_| ())?;
    let only = ask.holder.account().map(str::to_owned);
    let found = api.store.list_tokens(only, page.into()).await;
    let found = found.map_err(|error| trouble(&api, "api_read", error))?;
    answer::list(page, found.total, found.objects.iter().map(TokenView::from).collect())
}

/// Makes a token. `token` is shown in this answer only.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = TokenCreate,
    responses((status = 201, description = "The token", body = Written<NewToken>)))]
async fn create(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    ask.holder.admin()?;
    let (wait, ()) = ask.wait(|_| ())?;
    let said = body.parse()?.read(edit_new)?;
    let Some((scope, description)) = said else { return Err(Refusal::of_faults(Vec::new()).into()) };
    let made = api.gate.make().await?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    if let Some(account) = scope.account() {
        known_account(&api, &turn, account).await?;
    }
    let token = Token {
        id: Uuid::now_v7(),
        prefix: made.prefix,
        hash: made.hash,
        scope,
        description,
        last_used_ms: None,
        stamp: turn.session.stamp(),
    };
    let object = NewToken { object: TokenView::from(&token), token: made.text };
    let (tag, path) = (etag(&token), format!("/v1/tokens/{}", token.id));
    let draft = Draft::new(StatusCode::CREATED, vec![Change::PutToken(token)], object);
    turn.finish(draft.etag(tag).location(path)).await
}

/// One token.
#[utoipa::path(get, path = "/v1/tokens/{tokenId}", tag = "tokens",
    responses((status = 200, description = "The token", body = TokenView)))]
async fn read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let id = Uuid::parse_str(&id).map_err(|_| Refusal::not_found())?;
    let found = api.store.token(id).await.map_err(|error| trouble(&api, "api_read", error))?;
    let found =
        found.filter(|token| ask.holder.sees(token.scope.account())).ok_or_else(Refusal::not_found)?;
    answer::object(&ask, &etag(&found), TokenView::from(&found))
}

/// Changes what the body names.
#[utoipa::path(patch, path = "/v1/tokens/{tokenId}", tag = "tokens", request_body = TokenPatch,
    responses((status = 200, description = "The token", body = Written<TokenView>)))]
async fn update(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: Body) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let said = body.parse()?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    let now = writable(&api, &turn, &ask, &id).await?;
    ask.holder.admin()?;
    let mut after = now.clone();
    said.read(|section| edit(section, &mut after))?;
    settle(&mut after, Some(&now), turn.session.stamp());
    let changes = if after == now { Vec::new() } else { vec![Change::PutToken(after.clone())] };
    turn.finish(Draft::new(StatusCode::OK, changes, TokenView::from(&after)).etag(etag(&after))).await
}

/// Revokes a token: no request is let through with it from now on.
#[utoipa::path(delete, path = "/v1/tokens/{tokenId}", tag = "tokens",
    responses((status = 200, description = "It is gone", body = Written<Nothing>)))]
async fn remove(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let turn = api.turn(&ask, &[], wait).await?;
    let token = writable(&api, &turn, &ask, &id).await?;
    if token.scope == Scope::Admin {
        let all = turn.session.store().list_tokens(None, Page::ALL).await;
        let all = all.map_err(|error| trouble(&api, "api_read", error))?.objects;
        if all.iter().filter(|token| token.scope == Scope::Admin).count() == 1 {
            let detail = "this is the last token of scope admin; make another one first";
            return Err(Refusal::new(StatusCode::CONFLICT, "last_admin_token", detail).into());
        }
    }
    let draft = Draft::new(StatusCode::OK, vec![Change::RemoveToken(token.id)], Nothing {});
    turn.finish(Draft { revoked: Some(Revoked::Token(token.id)), ..draft }).await
}

/// The token as it is, if the caller sees it.
async fn writable(api: &Api, turn: &Turn<'_>, ask: &Ask, id: &str) -> Result<Token, Refusal> {
    let id = Uuid::parse_str(id).map_err(|_| Refusal::not_found())?;
    let found = turn.session.token(id).await.map_err(|error| trouble(api, "api_read", error))?;
    let found =
        found.filter(|token| ask.holder.sees(token.scope.account())).ok_or_else(Refusal::not_found)?;
    ask.conditions.check(&etag(&found))?;
    Ok(found)
}
