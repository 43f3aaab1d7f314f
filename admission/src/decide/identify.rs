//! Whose call is it, may that trunk be used here and now, and what must the caller prove?
//!
//! Takes nothing, and decides by no word that another process writes.

use super::trace::{By, Step, Trace};
use super::{Attempt, Barred, Identity};
use crate::image::{SourceMatch, TrunkRef};
use crate::live::{Live, Scope};
use crate::model::AuthMode;
use crate::reason::Reason;
use crate::tables::Tables;

/// A trunk that was found: where, and by what.
pub(crate) type Lead = ((TrunkRef, bool), By);

/// Finds the trunk that the call is of. What else a call needs of it is asked for all at once: the words of its limits and its
/// account's, its first gateway's health and URI. So whatever waits for one waits for the others meanwhile.
#[inline]
pub(crate) fn find(tables: &Tables, live: &Live, attempt: &Attempt<'_>) -> Option<Lead> {
    let lead = match tables.trunk_by_host(attempt.host) {
        Some(trunk) => (trunk, By::Domain),
        None => by_user_or_source(tables, attempt)?,
    };
    let ((trunk, in_overlay), _) = &lead;
    live.prefetch_line(Scope::Trunk(trunk.live()));
    trunk.account().into_iter().for_each(|account| live.prefetch_line(Scope::Account(account)));
    let gateway = tables.image(*in_overlay).prefetch_gateway(trunk);
    gateway.into_iter().for_each(|gateway| live.prefetch_health(gateway));
    Some(lead)
}

/// May that trunk be used here and now, and what must the caller prove? `barred` hears of a call that is not let in.
#[inline]
pub(crate) fn identify(
    tables: &Tables,
    found: Option<Lead>,
    attempt: &Attempt<'_>,
    barred: impl Fn(Reason, Option<&TrunkRef>),
    trace: &impl Trace,
) -> Result<Identity, Barred> {
    trace.step(|| Step::Identified(found.map(|(_, by)| by)));
    let Some(((trunk, in_overlay), _)) = found else {
        barred(Reason::UnknownDestination, None);
        return Err(Barred { reason: Reason::UnknownDestination, identity: None });
    };
    let account = tables.account_of(&trunk, in_overlay);
    let mut identity = Identity { trunk, in_overlay, account, needs_password: false };
    let refuse = |reason| {
        barred(reason, Some(&identity.trunk));
        Err(Barred { reason, identity: Some(identity) })
    };
    let account_enabled = trunk.account().is_none() || account.is_some_and(|(account, _)| account.enabled());
    trace.step(|| Step::Enabled { trunk: trunk.enabled(), account: account_enabled });
    if !trunk.enabled() || !account_enabled {
        return refuse(Reason::Disabled);
    }
    trace.step(|| Step::Region { allowed: trunk.region_allowed() });
    if !trunk.region_allowed() {
        return refuse(Reason::RegionDenied);
    }
    trace.step(|| Step::Transport { tls_required: trunk.secure(), tls: attempt.secure });
    if trunk.secure() && !attempt.secure {
        return refuse(Reason::SourceDenied);
    }
    let (sources, credentials) = (trunk.has_sources(), trunk.has_credentials());
    trace.step(|| Step::Configured { mode: trunk.auth(), addresses: sources, credentials });
    let listed = || {
        let listed = tables.image(in_overlay).source_allowed(&trunk, attempt.source);
        trace.step(|| Step::Source { listed });
        listed
    };
    identity.needs_password = match trunk.auth() {
        AuthMode::Any if !sources && !credentials => return refuse(Reason::NoAuthConfigured),
        AuthMode::Any if listed() => false,
        AuthMode::Any if credentials => true,
        AuthMode::All if !sources || !credentials => return refuse(Reason::NoAuthConfigured),
        // The address is judged before a password is asked for: no oracle for whoever may not call at all.
        AuthMode::All if listed() => true,
        AuthMode::Password if credentials => true,
        AuthMode::Password => return refuse(Reason::NoAuthConfigured),
        AuthMode::Ip if !sources => return refuse(Reason::NoAuthConfigured),
        AuthMode::Ip if listed() => false,
        AuthMode::Any | AuthMode::All | AuthMode::Ip => return refuse(Reason::SourceDenied),
    };
    trace.step(|| Step::Password { needed: identity.needs_password });
    Ok(identity)
}

/// By inbound user on the inbound host; by source address alone on the bare base domain.
fn by_user_or_source(tables: &Tables, attempt: &Attempt<'_>) -> Option<((TrunkRef, bool), By)> {
    let (newest, host) = (tables.newest(), attempt.host);
    if host.is_empty() {
        return None;
    }
    if newest.is_inbound_host(host) {
        return tables.application_by_user(attempt.user).map(|found| (found, By::InboundUser));
    }
    if !newest.is_base_domain(host) {
        return None;
    }
    match tables.source(attempt.source) {
        SourceMatch::Trunk(live) => tables.trunk_by_live(live).map(|found| (found, By::Source)),
        _ => None,
    }
}
