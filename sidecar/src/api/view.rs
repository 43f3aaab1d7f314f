//! Objects as the API shows them. Must never show a secret; those that are shown once are named for it.

mod application;
mod gateway;
mod trunk;
mod webhook;

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::time;
use crate::domain::{Account, Scope, Token};

pub(super) use application::Application;
pub(super) use gateway::{Address, Gateway, Health};
pub(super) use trunk::{Credential, IpAcl, Trunk};

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
pub(super) struct AccountView {
    account_id: String,
    name: String,
    /// A disabled account refuses the calls of all its trunks.
    enabled: bool,
    /// Calls at the same time over all its trunks; null is no limit.
    concurrent_calls_limit: Option<u32>,
    /// Calls per second over all its trunks; null is no limit.
    cps_limit: Option<f64>,
    /// Calls at once after silence; null is the calls of one second.
    cps_burst: Option<u32>,
    /// `api`, or `file`: read-only in the API.
    managed_by: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<&Account> for AccountView {
    fn from(account: &Account) -> AccountView {
        AccountView {
            account_id: account.id.clone(),
            name: account.name.clone(),
            enabled: account.enabled,
            concurrent_calls_limit: account.limits.concurrent_calls,
            cps_limit: account.limits.cps,
            cps_burst: account.limits.cps_burst,
            managed_by: account.managed_by.name(),
            created_at: time(account.stamp.created_ms),
            updated_at: time(account.stamp.updated_ms),
        }
    }
}

/// A token, without the token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
pub(super) struct TokenView {
    token_id: String,
    /// `admin`, or `account`: what belongs to its account.
    scope: &'static str,
    /// Of scope `account`: which one.
    account_id: Option<String>,
    description: String,
    /// When it was used last, to the minute; null is never.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<&Token> for TokenView {
    fn from(token: &Token) -> TokenView {
        TokenView {
            token_id: token.id.to_string(),
            scope: match token.scope {
                Scope::Admin => "admin",
                Scope::Account(_) => "account",
            },
            account_id: token.scope.account().map(str::to_owned),
            description: token.description.clone(),
            last_used_at: token.last_used_ms.map(time),
            created_at: time(token.stamp.created_ms),
            updated_at: time(token.stamp.updated_ms),
        }
    }
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewToken {
    #[serde(flatten)]
    pub(super) object: TokenView,
    /// What its holder sends as `Authorization: Bearer <token>`. Shown in this answer only.
    pub(super) token: String,
}
