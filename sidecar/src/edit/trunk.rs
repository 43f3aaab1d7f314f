//! A trunk's own fields.

use trunk_admission::model::{AuthMode, Kind};

use super::limits;
use crate::domain::{Limits, ManagedBy, Stamp, Transport, Trunk};
use crate::input::rules;
use crate::input::section::Section;

/// What a trunk may do that names no limits.
pub(crate) const DEFAULT_LIMITS: Limits =
    Limits { cps: Some(2.0), cps_burst: None, concurrent_calls: Some(10) };
/// SIP answers after which another gateway may be tried.
pub(crate) const FAILOVER_CODES: std::ops::RangeInclusive<u64> = 400..=699;

/// A trunk or application about which nothing was said yet.
pub(crate) fn new(id: String, kind: Kind, managed_by: ManagedBy) -> Trunk {
    Trunk {
        id,
        account: None,
        kind,
        name: String::new(),
        description: String::new(),
        enabled: kind == Kind::Trunk,
        auth_mode: AuthMode::default(),
        limits: DEFAULT_LIMITS,
        allowed_regions: None,
        transport: Transport::default(),
        secure: false,
        failover_codes: None,
        inbound_user: None,
        password_auth: false,
        ip_acls: Vec::new(),
        credentials: Vec::new(),
        origination_uris: Vec::new(),
        webhook: None,
        managed_by,
        stamp: Stamp::default(),
    }
}

/// What a table says about a trunk itself.
pub(crate) fn trunk(section: &Section<'_>, trunk: &mut Trunk) {
    if let Some(name) = section.parsed("name", rules::text) {
        trunk.name = name;
    }
    if let Some(description) = section.parsed("description", rules::text) {
        trunk.description = description;
    }
    if let Some(enabled) = section.boolean("enabled") {
        trunk.enabled = enabled;
    }
    if let Some(mode) = section.parsed("authMode", rules::auth_mode) {
        trunk.auth_mode = mode;
    }
    limits::limits(section, limits::KEYS, &mut trunk.limits, DEFAULT_LIMITS);
    let regions = section.given("allowedRegions", |section, key| section.set_of_texts(key, rules::region));
    trunk.allowed_regions = regions.over(trunk.allowed_regions.take());
    if let Some(transport) = section.parsed("transport", rules::transport) {
        trunk.transport = transport;
    }
    if let Some(secure) = section.boolean("secure") {
        trunk.secure = secure;
    }
    let codes = section.given("failoverCodes", |section, key| {
        let codes = section.set_of_integers(key, FAILOVER_CODES)?;
        Some(codes.into_iter().map(|code| code as u16).collect())
    });
    trunk.failover_codes = codes.over(trunk.failover_codes.take());
}
