//! In which fields two states of one object differ, by the names that the API gives them. Pure.
//!
//! Looks at what was configured only: ids of parts and stamps do not count, nor does the order of a list. Names fields,
//! never values, which could be secret.

use super::{Account, Node, RatePlan, Token, Trunk};

/// The fields of a trunk that are lists of parts, each with a stamp of its own.
pub const PARTS: [&str; 3] = ["ipAcls", "credentials", "originationUris"];

/// Fields of the node.
pub fn node_fields(now: &Node, wanted: &Node) -> Vec<&'static str> {
    differing([
        ("name", now.name != wanted.name),
        ("region", now.region != wanted.region),
        ("base_domain", now.base_domain != wanted.base_domain),
        ("inbound_host", now.inbound_host != wanted.inbound_host),
        ("limits", now.limits != wanted.limits),
    ])
}

/// Fields of an account.
pub fn account_fields(now: &Account, wanted: &Account) -> Vec<&'static str> {
    differing([
        ("name", now.name != wanted.name),
        ("enabled", now.enabled != wanted.enabled),
        ("limits", now.limits != wanted.limits),
        ("managedBy", now.managed_by != wanted.managed_by),
    ])
}

/// Fields of a token.
pub fn token_fields(now: &Token, wanted: &Token) -> Vec<&'static str> {
    differing([
        ("scope", now.scope != wanted.scope),
        ("description", now.description != wanted.description),
        ("token", now.hash != wanted.hash || now.prefix != wanted.prefix),
    ])
}

/// Fields of a rate plan.
pub fn rate_plan_fields(now: &RatePlan, wanted: &RatePlan) -> Vec<&'static str> {
    differing([
        ("name", now.name != wanted.name),
        ("description", now.description != wanted.description),
        ("currency", now.currency != wanted.currency),
    ])
}

/// Fields of a trunk or application.
pub fn trunk_fields(now: &Trunk, wanted: &Trunk) -> Vec<&'static str> {
    let same_acls =
        same_set(&now.ip_acls, &wanted.ip_acls, |acl| (acl.network, acl.enabled, acl.description.as_str()));
    let same_users = same_set(&now.credentials, &wanted.credentials, |user| {
        (user.username.as_str(), user.ha1_md5, user.ha1_sha256, user.enabled, user.description.as_str())
    });
    let same_gateways = same_set(&now.origination_uris, &wanted.origination_uris, |gateway| {
        let description = gateway.description.as_str();
        (gateway.uri.as_str(), gateway.priority, gateway.weight, gateway.enabled, description)
    });
    differing([
        ("accountId", now.account != wanted.account),
        ("kind", now.kind != wanted.kind),
        ("name", now.name != wanted.name),
        ("description", now.description != wanted.description),
        ("enabled", now.enabled != wanted.enabled),
        ("authMode", now.auth_mode != wanted.auth_mode),
        ("limits", now.limits != wanted.limits),
        ("allowedRegions", now.allowed_regions != wanted.allowed_regions),
        ("transport", now.transport != wanted.transport),
        ("secure", now.secure != wanted.secure),
        ("failoverCodes", now.failover_codes != wanted.failover_codes),
        ("sipUri", now.inbound_user != wanted.inbound_user),
        ("passwordAuthEnabled", now.password_auth != wanted.password_auth),
        ("ipAcls", !same_acls),
        ("credentials", !same_users),
        ("originationUris", !same_gateways),
        ("webhook", now.webhook != wanted.webhook),
        ("managedBy", now.managed_by != wanted.managed_by),
    ])
}

fn differing<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Whether two lists hold the same entries, each being what `content` says.
fn same_set<'a, T, K: Ord>(a: &'a [T], b: &'a [T], content: impl Fn(&'a T) -> K) -> bool {
    let sorted = |list: &'a [T]| {
        let mut entries: Vec<K> = list.iter().map(&content).collect();
        entries.sort_unstable();
        entries
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}
