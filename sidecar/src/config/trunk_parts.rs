//! One `[[trunk]]` entry: its own keys and the lists below it.
//!
//! Passwords enter here and leave as hashes.

use std::collections::HashSet;

use ipnet::IpNet;
use trunk_admission::model::{Kind, MAX_GATEWAYS};
use uuid::Uuid;

use super::main_file::limits;
use crate::domain::{Credential, IpAcl, Limits, ManagedBy, OriginationUri, Stamp, Trunk, Webhook};
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;
use crate::secret;
use crate::webhook::UrlRules;

/// Most addresses of one trunk.
const MAX_IP_ACLS: usize = 10_000;
/// Most digest users of one trunk.
const MAX_CREDENTIALS: usize = 10_000;
/// What a trunk may do that names no limits: calls at the same time, calls per second.
const DEFAULT_CONCURRENT: u32 = 10;
const DEFAULT_CPS: f64 = 2.0;

/// Reads everything of a trunk but its ids. `realm` is the trunk's domain, if it is known.
pub(super) fn read(section: &Section<'_>, realm: Option<&str>, url_rules: UrlRules) -> Option<Trunk> {
    let name = section.parsed("name", rules::text).unwrap_or_default();
    let description = section.parsed("description", rules::text).unwrap_or_default();
    let auth_mode = section.parsed("authMode", rules::auth_mode);
    let limits = limits(section, ["cpsLimit", "cpsBurst", "concurrentCallsLimit"]);
    let failover_codes = section.integers("failoverCodes", 400..=699);
    let trunk = Trunk {
        id: String::new(),
        account: None,
        kind: Kind::Trunk,
        name,
        description,
        enabled: section.flag("enabled", true),
        auth_mode: auth_mode.unwrap_or_default(),
        limits: with_defaults(limits.unwrap_or_default()),
        allowed_regions: section.texts("allowedRegions", rules::region),
        transport: section.parsed("transport", rules::transport).unwrap_or_default(),
        secure: section.flag("secure", false),
        failover_codes: failover_codes.map(|codes| codes.into_iter().map(|code| code as u16).collect()),
        inbound_user: None,
        password_auth: false,
        ip_acls: ip_acls(section),
        credentials: credentials(section, realm),
        origination_uris: origination_uris(section),
        webhook: webhook(section, url_rules),
        managed_by: ManagedBy::File,
        stamp: Stamp::default(),
    };
    limits.is_some().then_some(trunk)
}

/// An absent limit of a trunk is a small one, not none.
fn with_defaults(limits: Limits) -> Limits {
    Limits {
        cps: limits.cps.or(Some(DEFAULT_CPS)),
        cps_burst: limits.cps_burst,
        concurrent_calls: limits.concurrent_calls.or(Some(DEFAULT_CONCURRENT)),
    }
}

fn ip_acls(section: &Section<'_>) -> Vec<IpAcl> {
    let mut seen = HashSet::<IpNet>::new();
    let read = section.sections("ipAcls", MAX_IP_ACLS).unwrap_or_default().into_iter().filter_map(|entry| {
        let network = entry.parsed_required("ipAddress", rules::network);
        let enabled = entry.flag("enabled", true);
        let description = entry.parsed("description", rules::text).unwrap_or_default();
        unique(&entry, "ipAddress", network.is_none_or(|network| seen.insert(network)));
        entry.finish();
        let (id, stamp) = (Uuid::nil(), Stamp::default());
        Some(IpAcl { id, network: network?, enabled, description, stamp })
    });
    read.collect()
}

fn credentials(section: &Section<'_>, realm: Option<&str>) -> Vec<Credential> {
    let mut seen = HashSet::new();
    let read = section.sections("credentials", MAX_CREDENTIALS).unwrap_or_default().into_iter().filter_map(
        |entry| {
            let username = entry.parsed_required("username", rules::username);
            let password = entry.parsed_required("password", rules::password);
            let enabled = entry.flag("enabled", true);
            let description = entry.parsed("description", rules::text).unwrap_or_default();
            unique(&entry, "username", username.as_ref().is_none_or(|name| seen.insert(name.clone())));
            entry.finish();
            let username = username?;
            let (ha1_md5, ha1_sha256) = secret::ha1(&username, realm?, &password?);
            let (id, stamp) = (Uuid::nil(), Stamp::default());
            Some(Credential { id, username, ha1_md5, ha1_sha256, enabled, description, stamp })
        },
    );
    read.collect()
}

fn origination_uris(section: &Section<'_>) -> Vec<OriginationUri> {
    let mut seen = HashSet::new();
    let read = section.sections("originationUris", MAX_GATEWAYS).unwrap_or_default().into_iter().filter_map(
        |entry| {
            let uri = entry.parsed_required("uri", rules::gateway_uri);
            let priority = default_or(&entry, "priority", 0, 0);
            let weight = default_or(&entry, "weight", 1, 1);
            let enabled = entry.flag("enabled", true);
            let description = entry.parsed("description", rules::text).unwrap_or_default();
            unique(&entry, "uri", uri.as_ref().is_none_or(|uri| seen.insert(uri.clone())));
            entry.finish();
            let (id, stamp) = (Uuid::nil(), Stamp::default());
            Some(OriginationUri { id, uri: uri?, priority, weight, enabled, description, stamp })
        },
    );
    read.collect()
}

fn default_or(entry: &Section<'_>, key: &'static str, least: u64, default: u16) -> u16 {
    entry.integer(key, least..=u64::from(u16::MAX)).map_or(default, |value| value as u16)
}

fn unique(entry: &Section<'_>, key: &str, first: bool) {
    if !first {
        entry.problem(key, Broken::new("duplicate", "is listed twice in this trunk"));
    }
}

/// A URL needs a secret: an unsigned event could be anybody's.
fn webhook(section: &Section<'_>, url_rules: UrlRules) -> Option<Webhook> {
    let url = section.parsed("webhookUrl", |text| url_rules.check(text));
    let method = section.parsed("webhookMethod", rules::webhook_method).unwrap_or_default();
    let secret = section.parsed("webhookSecret", rules::webhook_secret);
    match (section.has("webhookUrl"), section.has("webhookSecret")) {
        (true, false) => {
            section.problem("webhookSecret", Broken::new("required", "is required with webhookUrl"))
        }
        (false, true) => {
            section.problem("webhookUrl", Broken::new("required", "is required with webhookSecret"))
        }
        _ => {}
    }
    Some(Webhook { url: url?, method, secret: secret? })
}
