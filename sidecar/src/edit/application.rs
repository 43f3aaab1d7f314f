//! A voice application: when its inbound URI lives, and what a caller of it must prove.
//!
//! The table that has to hold, for an application that takes SIP calls:
//!
//! | `passwordAuthEnabled` | `allowedSourceIps` | a caller |
//! |---|---|---|
//! | true | none | needs the password |
//! | true | some | needs the password and one of the addresses |
//! | false | some | needs one of the addresses |
//! | false | `0.0.0.0/0` | needs nothing |
//! | false | none | refused when it is written |
//!
//! One that takes no SIP calls has no URI, no password and no addresses.

use ipnet::IpNet;
use trunk_admission::model::AuthMode;
use uuid::Uuid;

use super::{limits, parts};
use crate::domain::{Credential, IpAcl, Stamp, Trunk};
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;
use crate::secret::{self, Password};

/// Most entries of `allowedSourceIps`.
pub(crate) const MAX_SOURCES: usize = 25;

/// What an application is held against beside its own table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'r> {
    /// Host of every inbound URI, and realm of its password.
    pub(crate) inbound_host: &'r str,
    /// Development only: sources need not be public.
    pub(crate) allow_private: bool,
}

/// What a table says about an application, but for its webhook; a new password, to be shown once.
pub(crate) fn application(section: &Section<'_>, app: &mut Trunk, rules: Rules<'_>) -> Option<Password> {
    if let Some(name) = section.parsed("applicationName", rules::text) {
        app.name = name;
    }
    limits::limits(section, limits::KEYS, &mut app.limits, super::trunk::DEFAULT_LIMITS);
    let regions = section.set_of_texts("allowedRegions", rules::region);
    // An application that names no region is used nowhere.
    app.allowed_regions = Some(regions.or(app.allowed_regions.take()).unwrap_or_default());
    parts::origination_uris(section, app);

    let enable = section.boolean("inboundSipCallsEnabled");
    let password = section.boolean("passwordAuthEnabled");
    let sources = section.set_of_texts("allowedSourceIps", |text| rules::source(text, rules.allow_private));
    if let Some(sources) = &sources
        && sources.len() > MAX_SOURCES
    {
        section.too_many("allowedSourceIps", sources.len(), MAX_SOURCES);
    }
    let sources = sources.map(|sources| sources.into_iter().map(IpNet::V4).collect::<Vec<_>>());
    if enable.is_none() && section.has("inboundSipCallsEnabled") {
        // Neither true nor false: reported, and nothing follows from it.
        return None;
    }
    if !enable.unwrap_or(app.inbound_user.is_some()) {
        for (key, given) in [
            ("passwordAuthEnabled", password == Some(true)),
            ("allowedSourceIps", sources.is_some_and(|sources| !sources.is_empty())),
        ] {
            if given {
                let rule = "needs inboundSipCallsEnabled, which is false";
                section.problem(key, Broken::new("inbound_disabled", rule));
            }
        }
        disable(app);
        return None;
    }

    let user = *app.inbound_user.get_or_insert_with(new_user);
    app.enabled = true;
    if let Some(sources) = sources {
        app.ip_acls = sources.into_iter().map(acl).collect();
    }
    let made = match password {
        Some(true) => Some(Password::random()),
        Some(false) => {
            app.credentials.clear();
            None
        }
        None => None,
    };
    if let Some(password) = &made {
        app.credentials = vec![credential(user, rules.inbound_host, password.reveal())];
    }
    app.password_auth = !app.credentials.is_empty();
    app.auth_mode = match (app.password_auth, app.ip_acls.is_empty()) {
        (true, true) => AuthMode::Password,
        (true, false) => AuthMode::All,
        (false, _) => AuthMode::Ip,
    };
    if !app.password_auth && app.ip_acls.is_empty() {
        let blamed = ["passwordAuthEnabled", "allowedSourceIps", "inboundSipCallsEnabled"];
        let blamed = blamed.into_iter().find(|key| section.has(key)).unwrap_or_default();
        let rule = "calls need a password or a list of sources: set passwordAuthEnabled or allowedSourceIps";
        section.problem(blamed, Broken::new("auth_required", rule));
    }
    made
}

/// As [`application`], for a table that has to say what otherwise would be made: files are read again and again, and must
/// mean the same each time.
pub(crate) fn written(section: &Section<'_>, app: &mut Trunk, rules: Rules<'_>) {
    let host = rules.inbound_host;
    let user = section.parsed("sipUri", |text| rules::inbound_uri(text, host));
    // One that is faulty is an application all the same: its other mistakes are told by that.
    app.inbound_user = user.or_else(|| section.has("sipUri").then(new_user));
    let password = section.parsed("sipAuthPassword", rules::password);
    let needs_password = application(section, app, rules).is_some();
    let Some(user) = app.inbound_user else { return };
    if !section.has("sipUri") {
        let rule = format!("is required: sip: and a version 4 UUID of your own, then @{host}");
        section.problem("sipUri", Broken::new("required", rule));
    }
    match (needs_password, section.has("sipAuthPassword")) {
        (true, false) => section
            .problem("sipAuthPassword", Broken::new("required", "is required with passwordAuthEnabled")),
        (false, true) => {
            let rule = "needs passwordAuthEnabled, which is not true";
            section.problem("sipAuthPassword", Broken::new("password_disabled", rule));
        }
        _ => {}
    }
    if let Some(password) = password.filter(|_| needs_password) {
        app.credentials = vec![credential(user, host, &password)];
    }
}

/// Takes an application off SIP.
fn disable(app: &mut Trunk) {
    app.enabled = false;
    app.inbound_user = None;
    app.password_auth = false;
    app.auth_mode = AuthMode::default();
    app.credentials.clear();
    app.ip_acls.clear();
}

/// A version 4 UUID.
fn new_user() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}

fn acl(network: IpNet) -> IpAcl {
    IpAcl { id: Uuid::nil(), network, enabled: true, description: String::new(), stamp: Stamp::default() }
}

fn credential(user: Uuid, realm: &str, password: &str) -> Credential {
    let username = user.to_string();
    let (ha1_md5, ha1_sha256) = secret::ha1(&username, realm, password);
    Credential {
        id: Uuid::nil(),
        username,
        ha1_md5,
        ha1_sha256,
        enabled: true,
        description: String::new(),
        stamp: Stamp::default(),
    }
}
