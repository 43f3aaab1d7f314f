//! Trunks and their parts.

use serde::Serialize;
use utoipa::ToSchema;

use super::webhook::Webhook;
use crate::api::answer::time;
use crate::domain;

/// A SIP trunk.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Trunk {
    trunk_id: String,
    /// Its owner; null is none but the administrators.
    account_id: Option<String>,
    name: String,
    description: String,
    /// What callers put into the Request-URI.
    trunk_domain: String,
    /// A disabled trunk refuses every call.
    enabled: bool,
    /// What a caller must prove: `any`, `all`, `password` or `ip`.
    auth_mode: &'static str,
    /// Calls at the same time, ringing ones included; 0 admits none.
    concurrent_calls_limit: Option<u32>,
    /// Calls per second; 0 admits none.
    cps_limit: Option<f64>,
    /// Calls at once after silence; null is the calls of one second.
    cps_burst: Option<u32>,
    /// Where it may be used; null is everywhere, an empty list nowhere.
    allowed_regions: Option<Vec<String>>,
    /// How gateways are reached whose URI names no transport.
    #[schema(example = "udp")]
    transport: &'static str,
    /// Takes calls over TLS only.
    secure: bool,
    /// SIP answers after which the next gateway is tried; null is the default list.
    failover_codes: Option<Vec<u16>>,
    #[serde(flatten)]
    webhook: Webhook,
    /// `api`, or `file`: read-only in the API.
    managed_by: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl Trunk {
    /// Shows a trunk; its domain is below `base_domain`.
    pub(in crate::api) fn new(trunk: &domain::Trunk, base_domain: &str) -> Trunk {
        Trunk {
            trunk_id: trunk.id.clone(),
            account_id: trunk.account.clone(),
            name: trunk.name.clone(),
            description: trunk.description.clone(),
            trunk_domain: format!("{}.{base_domain}", trunk.id),
            enabled: trunk.enabled,
            auth_mode: domain::auth_mode_name(trunk.auth_mode),
            concurrent_calls_limit: trunk.limits.concurrent_calls,
            cps_limit: trunk.limits.cps,
            cps_burst: trunk.limits.cps_burst,
            allowed_regions: trunk.allowed_regions.as_ref().map(|regions| texts(regions)),
            transport: trunk.transport.name(),
            secure: trunk.secure,
            failover_codes: trunk.failover_codes.clone(),
            webhook: trunk.webhook.as_ref().into(),
            managed_by: trunk.managed_by.name(),
            created_at: time(trunk.stamp.created_ms),
            updated_at: time(trunk.stamp.updated_ms),
        }
    }
}

pub(super) fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

/// A digest user of a trunk, without its password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Credential {
    credential_id: String,
    username: String,
    enabled: bool,
    description: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<&domain::Credential> for Credential {
    fn from(user: &domain::Credential) -> Credential {
        Credential {
            credential_id: user.id.to_string(),
            username: user.username.clone(),
            enabled: user.enabled,
            description: user.description.clone(),
            created_at: time(user.stamp.created_ms),
            updated_at: time(user.stamp.updated_ms),
        }
    }
}

/// An entry of a trunk's address list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct IpAcl {
    ip_acl_id: String,
    /// A network in canonical form; a single address ends in /32 or /128.
    ip_address: String,
    enabled: bool,
    description: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<&domain::IpAcl> for IpAcl {
    fn from(acl: &domain::IpAcl) -> IpAcl {
        IpAcl {
            ip_acl_id: acl.id.to_string(),
            ip_address: acl.network.to_string(),
            enabled: acl.enabled,
            description: acl.description.clone(),
            created_at: time(acl.stamp.created_ms),
            updated_at: time(acl.stamp.updated_ms),
        }
    }
}
