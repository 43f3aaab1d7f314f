//! The parts of a trunk: addresses, digest users, gateways. One by one, and as the lists of a whole trunk.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::RangeInclusive;

use trunk_admission::model::MAX_GATEWAYS;
use uuid::Uuid;

use crate::domain::{Credential, IpAcl, OriginationUri, Stamp, Trunk};
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;
use crate::secret::{self, Password};

/// Most addresses of one trunk.
pub(crate) const MAX_IP_ACLS: usize = 10_000;
/// Most digest users of one trunk.
pub(crate) const MAX_CREDENTIALS: usize = 10_000;
/// Most gateways of one trunk.
pub(crate) const MAX_ORIGINATION_URIS: usize = MAX_GATEWAYS;
/// A gateway's priority; lower is tried first.
pub(crate) const PRIORITY: RangeInclusive<u64> = 0..=65_535;
/// A gateway's share among those of its priority.
pub(crate) const WEIGHT: RangeInclusive<u64> = 1..=65_535;

/// What a table says about an address; `None` if a new one names none.
pub(crate) fn ip_acl(section: &Section<'_>, now: Option<IpAcl>) -> Option<IpAcl> {
    let network = match now {
        None => section.parsed_required("ipAddress", rules::network),
        Some(_) => section.parsed("ipAddress", rules::network),
    };
    let enabled = section.boolean("enabled");
    let description = section.parsed("description", rules::text);
    let network = network.or(now.as_ref().map(|acl| acl.network))?;
    let now = now.unwrap_or_else(|| IpAcl {
        id: Uuid::nil(),
        network,
        enabled: true,
        description: String::new(),
        stamp: Stamp::default(),
    });
    Some(IpAcl {
        network,
        enabled: enabled.unwrap_or(now.enabled),
        description: description.unwrap_or(now.description),
        ..now
    })
}

/// Who gives a new digest user its password if the table does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passwords {
    /// Nobody: it must be there.
    Written,
    /// We do; it is shown once.
    Made,
}

/// What a table says about a digest user of `realm`, and its password, if that was made here. `None` if a new one
/// cannot be made of it, or if the realm is not known.
pub(crate) fn credential(
    section: &Section<'_>,
    now: Option<Credential>,
    realm: Option<&str>,
    passwords: Passwords,
) -> Option<(Credential, Option<Password>)> {
    let username = match now {
        None => section.parsed_required("username", rules::username),
        Some(ref now) => {
            // The hashes are over the name: another name is another user.
            section.read_only(&["username"]);
            Some(now.username.clone())
        }
    };
    let written = match (&now, passwords) {
        (None, Passwords::Written) => section.parsed_required("password", rules::password),
        _ => section.parsed("password", rules::password),
    };
    let enabled = section.boolean("enabled");
    let description = section.parsed("description", rules::text);
    let username = username?;
    let made = match (&written, &now) {
        (None, None) if passwords == Passwords::Made => Some(Password::random()),
        _ => None,
    };
    let hash = |password: &str| realm.map(|realm| secret::ha1(&username, realm, password));
    let ha1 = match (&written, &made) {
        (Some(password), _) => hash(password),
        (None, Some(password)) => hash(password.reveal()),
        (None, None) => now.as_ref().map(|now| (now.ha1_md5, now.ha1_sha256)),
    };
    let (ha1_md5, ha1_sha256) = ha1?;
    let (id, stamp, was_enabled, was_described) = match now {
        Some(now) => (now.id, now.stamp, now.enabled, now.description),
        None => (Uuid::nil(), Stamp::default(), true, String::new()),
    };
    let credential = Credential {
        id,
        username,
        ha1_md5,
        ha1_sha256,
        enabled: enabled.unwrap_or(was_enabled),
        description: description.unwrap_or(was_described),
        stamp,
    };
    Some((credential, made))
}

/// What a table says about a gateway; `None` if a new one names none.
pub(crate) fn origination_uri(section: &Section<'_>, now: Option<OriginationUri>) -> Option<OriginationUri> {
    let uri = match now {
        None => section.parsed_required("uri", rules::gateway_uri),
        Some(_) => section.parsed("uri", rules::gateway_uri),
    };
    let priority = section.integer("priority", PRIORITY).map(|value| value as u16);
    let weight = section.integer("weight", WEIGHT).map(|value| value as u16);
    let enabled = section.boolean("enabled");
    let description = section.parsed("description", rules::text);
    let uri = uri.or(now.as_ref().map(|gateway| gateway.uri.clone()))?;
    let now = now.unwrap_or_else(|| OriginationUri {
        id: Uuid::nil(),
        uri: String::new(),
        priority: 0,
        weight: 1,
        enabled: true,
        description: String::new(),
        stamp: Stamp::default(),
    });
    Some(OriginationUri {
        uri,
        priority: priority.unwrap_or(now.priority),
        weight: weight.unwrap_or(now.weight),
        enabled: enabled.unwrap_or(now.enabled),
        description: description.unwrap_or(now.description),
        ..now
    })
}

/// The three lists of a whole trunk; the passwords that were made here, by user name.
pub(crate) fn lists(
    section: &Section<'_>,
    trunk: &mut Trunk,
    realm: Option<&str>,
    passwords: Passwords,
) -> Vec<(String, Password)> {
    let mut made = Vec::new();
    if let Some(acls) = list(section, "ipAcls", MAX_IP_ACLS, "ipAddress", |entry| {
        ip_acl(entry, None).map(|acl| (acl.network, acl))
    }) {
        trunk.ip_acls = acls;
    }
    if let Some(users) = list(section, "credentials", MAX_CREDENTIALS, "username", |entry| {
        let (user, password) = credential(entry, None, realm, passwords)?;
        made.extend(password.map(|password| (user.username.clone(), password)));
        Some((user.username.clone(), user))
    }) {
        trunk.credentials = users;
    }
    origination_uris(section, trunk);
    made
}

/// The gateways of a whole trunk or application.
pub(crate) fn origination_uris(section: &Section<'_>, trunk: &mut Trunk) {
    if let Some(gateways) = list(section, "originationUris", MAX_ORIGINATION_URIS, "uri", |entry| {
        origination_uri(entry, None).map(|gateway| (gateway.uri.clone(), gateway))
    }) {
        trunk.origination_uris = gateways;
    }
}

/// A list of parts, each of which has its key but once.
fn list<K: Eq + Hash, T>(
    section: &Section<'_>,
    name: &'static str,
    most: usize,
    key: &'static str,
    mut read: impl FnMut(&Section<'_>) -> Option<(K, T)>,
) -> Option<Vec<T>> {
    let mut seen = HashSet::new();
    let read = section.sections(name, most)?.into_iter().filter_map(|entry| {
        let part = read(&entry);
        let (id, part) = match part {
            Some(part) => part,
            None => {
                entry.finish();
                return None;
            }
        };
        if !seen.insert(id) {
            entry.problem(key, Broken::new("duplicate", "is listed twice in this trunk"));
        }
        entry.finish();
        Some(part)
    });
    Some(read.collect())
}
