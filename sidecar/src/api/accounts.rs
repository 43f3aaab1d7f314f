//! Accounts: made and changed by administrators, seen by their own tokens.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Answer, List};
use super::ask::Ask;
use super::body::Body;
use super::etag::ETag;
use super::problem::Refusal;
use super::schema::AccountBody;
use super::turn::{Draft, Nothing, Revoked, Turn, Written};
use super::view::AccountView;
use super::{Api, by_api, trouble};
use crate::change::Change;
use crate::domain::{Account, Limits, ManagedBy, Stamp, settle};
use crate::edit;
use crate::input::section::Section;
use crate::store::{Page, TrunkFilter};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove))
}

/// What a body may say about an account.
pub(super) fn edit(section: &Section<'_>, account: &mut Account) {
    section.read_only(&["accountId", "managedBy", "createdAt", "updatedAt", "configRevision"]);
    edit::account::account(section, account);
}

fn etag(account: &Account) -> ETag {
    ETag::new(account.stamp.revision)
}

/// All accounts; to an account's token its own.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts",
    responses((status = 200, description = "A page of accounts", body = List<AccountView>)))]
async fn list(State(api): State<Api>, ask: Ask) -> Answer {
    let (page, ()) = ask.page(|_| ())?;
    let only = ask.holder.account().map(str::to_owned);
    let found = api.store.list_accounts(only, page.into()).await;
    let found = found.map_err(|error| trouble(&api, "api_read", error))?;
    answer::list(
        page,
        found.total,
        found.objects.iter().map(|placed| AccountView::from(&placed.item)).collect(),
    )
}

/// Makes an account.
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts", request_body = AccountBody,
    responses((status = 201, description = "The account", body = Written<AccountView>)))]
async fn create(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    ask.holder.admin()?;
    let (wait, ()) = ask.wait(|_| ())?;
    let mut account = Account {
        id: Uuid::now_v7().to_string(),
        name: String::new(),
        enabled: true,
        limits: Limits::default(),
        managed_by: ManagedBy::Api,
        stamp: Stamp::default(),
    };
    body.parse()?.read(|section| edit(section, &mut account))?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    account.stamp = turn.session.stamp();
    let draft = Draft::new(
        StatusCode::CREATED,
        vec![Change::PutAccount(account.clone())],
        AccountView::from(&account),
    );
    turn.finish(draft.etag(etag(&account)).location(format!("/v1/accounts/{}", account.id))).await
}

/// One account.
#[utoipa::path(get, path = "/v1/accounts/{accountId}", tag = "accounts",
    responses((status = 200, description = "The account", body = AccountView)))]
async fn read(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let found = api.store.account(id).await.map_err(|error| trouble(&api, "api_read", error))?;
    let found =
        found.filter(|placed| ask.holder.sees(Some(&placed.item.id))).ok_or_else(Refusal::not_found)?;
    answer::object(&ask, &etag(&found.item), AccountView::from(&found.item))
}

/// Changes what the body names.
#[utoipa::path(patch, path = "/v1/accounts/{accountId}", tag = "accounts", request_body = AccountBody,
    responses((status = 200, description = "The account", body = Written<AccountView>)))]
async fn update(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: Body) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let said = body.parse()?;
    let turn = api.turn(&ask, &body.bytes, wait).await?;
    let now = writable(&api, &turn, &ask, &id).await?;
    let mut after = now.clone();
    said.read(|section| edit(section, &mut after))?;
    settle(&mut after, Some(&now), turn.session.stamp());
    let changes = if after == now { Vec::new() } else { vec![Change::PutAccount(after.clone())] };
    turn.finish(Draft::new(StatusCode::OK, changes, AccountView::from(&after)).etag(etag(&after))).await
}

/// Deletes an account that owns nothing any more, and its tokens with it.
#[utoipa::path(delete, path = "/v1/accounts/{accountId}", tag = "accounts",
    responses((status = 200, description = "It is gone", body = Written<Nothing>)))]
async fn remove(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let turn = api.turn(&ask, &[], wait).await?;
    writable(&api, &turn, &ask, &id).await?;
    let filter = TrunkFilter { account: Some(id.clone()), ..TrunkFilter::default() };
    let owned = turn.session.store().list_trunks(filter, Page { limit: 1, offset: 0 }).await;
    let owned = owned.map_err(|error| trouble(&api, "api_read", error))?.total;
    if owned > 0 {
        let detail = format!("the account owns {owned} trunks and applications; delete or move them first");
        return Err(Refusal::new(StatusCode::CONFLICT, "account_in_use", detail).into());
    }
    let draft = Draft::new(StatusCode::OK, vec![Change::RemoveAccount(id.clone())], Nothing {});
    turn.finish(Draft { revoked: Some(Revoked::Account(id)), ..draft }).await
}

/// The account as it is, if the caller may change it.
async fn writable(api: &Api, turn: &Turn<'_>, ask: &Ask, id: &str) -> Result<Account, Refusal> {
    let found = turn.session.account(id).await.map_err(|error| trouble(api, "api_read", error))?;
    let found =
        found.filter(|placed| ask.holder.sees(Some(&placed.item.id))).ok_or_else(Refusal::not_found)?;
    ask.holder.admin()?;
    by_api(found.item.managed_by)?;
    ask.conditions.check(&etag(&found.item))?;
    Ok(found.item)
}
