//! Voice applications, and what their owner is warned of.

use serde::Serialize;
use utoipa::ToSchema;

use super::gateway::Gateway;
use super::trunk::texts;
use super::webhook::Webhook;
use crate::api::answer::time;
use crate::domain;

/// A voice application.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VoiceApplication)]
pub(in crate::api) struct Application {
    application_id: String,
    /// Its owner; null is none but the administrators.
    account_id: Option<String>,
    application_name: String,
    /// Whether it has an inbound URI.
    inbound_sip_calls_enabled: bool,
    /// Whether a caller needs the password.
    password_auth_enabled: bool,
    /// Networks that may call; none if the list is empty and a password is needed.
    allowed_source_ips: Vec<String>,
    /// Where it may be called; an empty list is nowhere.
    allowed_regions: Vec<String>,
    /// What callers put into the Request-URI; its user part is the digest user name, its host the realm. Null while
    /// inbound SIP calls are disabled.
    sip_uri: Option<String>,
    /// Calls at the same time, ringing ones included; 0 admits none.
    concurrent_calls_limit: Option<u32>,
    /// Calls per second; 0 admits none.
    cps_limit: Option<f64>,
    /// Calls at once after silence; null is the calls of one second.
    cps_burst: Option<u32>,
    /// Where its calls go.
    origination_uris: Vec<Gateway>,
    #[serde(flatten)]
    webhook: Webhook,
    /// `api`, or `file`: read-only in the API.
    managed_by: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// What its owner should know.
    warnings: Vec<Warning>,
}

/// Something that is allowed, and hardly meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::api) struct Warning {
    /// JSON pointer to the field.
    pointer: String,
    /// One word for machines: `open_to_all_sources`, `no_region_allowed`.
    code: &'static str,
    detail: &'static str,
}

/// What the owner of an application should know.
pub(in crate::api) fn warnings(app: &domain::Trunk) -> Vec<Warning> {
    let mut found = Vec::new();
    if app.inbound_user.is_none() {
        return found;
    }
    if let Some(index) = app.ip_acls.iter().position(|acl| acl.network.prefix_len() == 0) {
        let detail = match app.password_auth {
            true => "every address may call, with the password",
            false => "every address may call, without a password",
        };
        let pointer = format!("/allowedSourceIps/{index}");
        found.push(Warning { pointer, code: "open_to_all_sources", detail });
    }
    if app.allowed_regions.as_ref().is_some_and(Vec::is_empty) {
        let detail = "no region is allowed: every call is refused";
        found.push(Warning { pointer: "/allowedRegions".into(), code: "no_region_allowed", detail });
    }
    found
}

impl Application {
    /// How its gateways do, as a part of its version.
    pub(in crate::api) fn healths(&self) -> String {
        self.origination_uris.iter().map(Gateway::moving).collect()
    }

    /// Shows an application; its URI is at `inbound_host`.
    pub(in crate::api) fn new(
        app: &domain::Trunk,
        inbound_host: &str,
        gateways: Vec<Gateway>,
    ) -> Application {
        Application {
            application_id: app.id.clone(),
            account_id: app.account.clone(),
            application_name: app.name.clone(),
            inbound_sip_calls_enabled: app.inbound_user.is_some(),
            password_auth_enabled: app.password_auth,
            allowed_source_ips: app.ip_acls.iter().map(|acl| acl.network.to_string()).collect(),
            allowed_regions: app.allowed_regions.as_ref().map(|regions| texts(regions)).unwrap_or_default(),
            sip_uri: app.inbound_user.map(|user| format!("sip:{user}@{inbound_host}")),
            concurrent_calls_limit: app.limits.concurrent_calls,
            cps_limit: app.limits.cps,
            cps_burst: app.limits.cps_burst,
            origination_uris: gateways,
            webhook: app.webhook.as_ref().into(),
            managed_by: app.managed_by.name(),
            created_at: time(app.stamp.created_ms),
            updated_at: time(app.stamp.updated_ms),
            warnings: warnings(app),
        }
    }
}
