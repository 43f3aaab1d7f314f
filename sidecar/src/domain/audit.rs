//! What the audit log says of an object before and after a change: the fields that differ, and no secret.
//!
//! Pure. A new hash, signing key or token is told as `"changed"`, never as itself. Of a list of parts only those entries
//! are told that came, went or changed.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Account, Credential, Limits, Node, PARTS, Payer, RatePlan, Scope, Token, Trunk, auth_mode_name};

/// An object's fields under the names of the API.
pub type Fields = Map<String, Value>;

/// What is said of a secret that is another one now.
const CHANGED: &str = "changed";

/// The node's.
pub fn node(node: &Node) -> Fields {
    let own = json!({
        "name": node.name,
        "region": node.region.to_string(),
        "baseDomain": node.base_domain,
        "inboundHost": node.inbound_host,
    });
    fields(own, node.limits)
}

/// An account's.
pub fn account(account: &Account) -> Fields {
    let own = json!({
        "accountId": account.id,
        "name": account.name,
        "enabled": account.enabled,
        "managedBy": account.managed_by.name(),
    });
    fields(own, account.limits)
}

/// A token's.
pub fn token(token: &Token) -> Fields {
    let scope = if token.scope == Scope::Admin { "admin" } else { "account" };
    object(json!({
        "tokenId": token.id,
        "scope": scope,
        "accountId": token.scope.account(),
        "description": token.description,
    }))
}

/// A rate plan's, without its rates.
pub fn rate_plan(plan: &RatePlan) -> Fields {
    object(json!({
        "ratePlanId": plan.id,
        "name": plan.name,
        "description": plan.description,
        "currency": plan.currency,
    }))
}

/// What is said of a plan's rates: how many there are.
pub fn rates(count: usize) -> Fields {
    object(json!({ "rates": count }))
}

/// By which plan somebody's calls go.
pub fn payer(payer: &Payer, plan: Option<&str>) -> Fields {
    object(json!({ "payer": payer.kind(), "id": payer.id(), "ratePlanId": plan }))
}

/// A trunk's or an application's.
pub fn trunk(trunk: &Trunk) -> Fields {
    let regions = trunk.allowed_regions.as_ref();
    let regions = regions.map(|regions| regions.iter().map(ToString::to_string).collect::<Vec<_>>());
    let ip_acls = trunk.ip_acls.iter().map(|acl| {
        json!({
            "ipAclId": acl.id,
            "ipAddress": acl.network.to_string(),
            "enabled": acl.enabled,
            "description": acl.description,
        })
    });
    let credentials = trunk.credentials.iter().map(|user| {
        json!({
            "credentialId": user.id,
            "username": user.username,
            "enabled": user.enabled,
            "description": user.description,
        })
    });
    let gateways = trunk.origination_uris.iter().map(|gateway| {
        json!({
            "originationUriId": gateway.id,
            "uri": gateway.uri,
            "priority": gateway.priority,
            "weight": gateway.weight,
            "enabled": gateway.enabled,
            "description": gateway.description,
        })
    });
    let own = json!({
        "id": trunk.id,
        "accountId": trunk.account,
        "name": trunk.name,
        "description": trunk.description,
        "enabled": trunk.enabled,
        "authMode": auth_mode_name(trunk.auth_mode),
        "allowedRegions": regions,
        "transport": trunk.transport.name(),
        "secure": trunk.secure,
        "failoverCodes": trunk.failover_codes,
        "inboundUser": trunk.inbound_user,
        "passwordAuthEnabled": trunk.password_auth,
        "ipAcls": ip_acls.collect::<Vec<_>>(),
        "credentials": credentials.collect::<Vec<_>>(),
        "originationUris": gateways.collect::<Vec<_>>(),
        "webhookUrl": trunk.webhook.as_ref().map(|webhook| &webhook.url),
        "webhookMethod": trunk.webhook.as_ref().map(|webhook| webhook.method.name()),
        "webhookEvents": trunk.webhook.as_ref().map(|webhook| webhook.events.names()),
        "webhookFallbackUrl": trunk.webhook.as_ref().and_then(|webhook| webhook.fallback_url.as_ref()),
        "webhookPublicKey": trunk.webhook.as_ref().and_then(|webhook| Some(webhook.signing_key.as_ref()?.public())),
        "managedBy": trunk.managed_by.name(),
    });
    fields(own, trunk.limits)
}

/// What two states of an account say differently.
pub fn account_change(before: &Account, after: &Account) -> (Fields, Fields) {
    difference(account(before), account(after))
}

/// What two states of the node say differently.
pub fn node_change(before: &Node, after: &Node) -> (Fields, Fields) {
    difference(node(before), node(after))
}

/// What two states of a rate plan say differently.
pub fn rate_plan_change(before: &RatePlan, after: &RatePlan) -> (Fields, Fields) {
    difference(rate_plan(before), rate_plan(after))
}

/// What two states of a token say differently.
pub fn token_change(before: &Token, after: &Token) -> (Fields, Fields) {
    let mut now = token(after);
    if before.hash != after.hash {
        now.insert("token".into(), CHANGED.into());
    }
    difference(token(before), now)
}

/// What two states of a trunk or application say differently.
pub fn trunk_change(before: &Trunk, after: &Trunk) -> (Fields, Fields) {
    let mut now = trunk(after);
    let users = now.get_mut("credentials").and_then(Value::as_array_mut);
    for (said, user) in users.into_iter().flatten().zip(&after.credentials) {
        let hashes = |user: &Credential| (user.ha1_md5, user.ha1_sha256);
        let old = before.credentials.iter().find(|old| old.id == user.id);
        if old.is_some_and(|old| hashes(old) != hashes(user)) {
            said["password"] = CHANGED.into();
        }
    }
    if let (Some(old), Some(new)) = (&before.webhook, &after.webhook)
        && old.secret != new.secret
    {
        now.insert("webhookSecret".into(), CHANGED.into());
    }
    difference(trunk(before), now)
}

/// Leaves what is not the same on both sides.
fn difference(mut before: Fields, mut after: Fields) -> (Fields, Fields) {
    before.retain(|name, old| {
        let Some(new) = after.get_mut(name) else { return true };
        if old == new {
            after.remove(name);
            return false;
        }
        if let (Value::Array(old), Value::Array(new)) = (old, new)
            && PARTS.contains(&name.as_str())
        {
            let texts = |list: &[Value]| list.iter().map(Value::to_string).collect::<HashSet<_>>();
            let (was, is) = (texts(old), texts(new));
            old.retain(|entry| !is.contains(&entry.to_string()));
            new.retain(|entry| !was.contains(&entry.to_string()));
        }
        true
    });
    (before, after)
}

fn fields(own: Value, limits: Limits) -> Fields {
    let mut fields = object(own);
    fields.insert("cpsLimit".into(), json!(limits.cps));
    fields.insert("cpsBurst".into(), json!(limits.cps_burst));
    fields.insert("concurrentCallsLimit".into(), json!(limits.concurrent_calls));
    fields
}

fn object(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}
