//! The configuration as plain values that every part shares: what a node, an account and a trunk are.
//!
//! No I/O, no SQL, no TOML. Must never hold a clear-text SIP password: credentials carry hashes only.

use std::fmt;

use ipnet::IpNet;
use trunk_admission::model::{AuthMode, Kind, Region};

use crate::secret::WebhookSecret;

/// Milliseconds since the Unix epoch, as the store keeps them.
pub type Millis = i64;

/// Who may change an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManagedBy {
    /// The HTTP API.
    Api,
    /// A provisioned file; read-only in the API.
    #[default]
    File,
}

/// Limits as they were written; `None` is unlimited, 0 admits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Calls per second, fractions allowed.
    pub cps: Option<f64>,
    /// Calls at once after silence; `None` is the calls of one second.
    pub cps_burst: Option<u32>,
    /// Calls at the same time, ringing ones included.
    pub concurrent_calls: Option<u32>,
}

/// What this node is. Part of every configuration revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name in logs.
    pub name: String,
    /// Where it stands.
    pub region: Region,
    /// Trunk domains are `{trunk id}.{base_domain}`.
    pub base_domain: String,
    /// Host of the inbound URIs of voice applications.
    pub inbound_host: String,
    /// Limits over all calls.
    pub limits: Limits,
}

/// A customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// DNS label, unique.
    pub id: String,
    /// For people.
    pub name: String,
    /// A disabled account refuses the calls of all its trunks.
    pub enabled: bool,
    /// Limits over all its trunks.
    pub limits: Limits,
    /// Who may change it.
    pub managed_by: ManagedBy,
}

/// A SIP trunk or a voice application.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// DNS label, unique; the first label of the trunk's domain.
    pub id: String,
    /// Owner.
    pub account: Option<String>,
    /// Trunk or voice application.
    pub kind: Kind,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// A disabled trunk refuses every call.
    pub enabled: bool,
    /// What a caller must prove.
    pub auth_mode: AuthMode,
    /// Its own limits.
    pub limits: Limits,
    /// Where it may be used; `None` is everywhere, an empty list nowhere.
    pub allowed_regions: Option<Vec<Region>>,
    /// Take calls over TLS only.
    pub secure: bool,
    /// Answers after which the next gateway is tried; `None` is the default list.
    pub failover_codes: Option<Vec<u16>>,
    /// Networks whose calls are its own.
    pub ip_acls: Vec<IpAcl>,
    /// Digest users.
    pub credentials: Vec<Credential>,
    /// Where its calls go.
    pub origination_uris: Vec<OriginationUri>,
    /// Where its events go.
    pub webhook: Option<Webhook>,
    /// Who may change it.
    pub managed_by: ManagedBy,
}

/// One entry of a trunk's address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpAcl {
    /// Canonical network; a single address is /32 or /128.
    pub network: IpNet,
    /// A disabled entry counts as absent.
    pub enabled: bool,
    /// For people.
    pub description: String,
}

/// One digest user.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// User name, unique within the trunk.
    pub username: String,
    /// MD5 of `user:realm:password`.
    pub ha1_md5: [u8; 16],
    /// SHA-256 of `user:realm:password`.
    pub ha1_sha256: [u8; 32],
    /// A disabled user counts as absent.
    pub enabled: bool,
}

impl fmt::Debug for Credential {
    /// The hashes are as good as the password for SIP, so they never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One gateway of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginationUri {
    /// `sip:host[:port][;transport=udp|tcp|tls]`, unique within the trunk.
    pub uri: String,
    /// Lower is tried first.
    pub priority: u16,
    /// Share among the gateways of one priority, at least 1.
    pub weight: u16,
    /// A disabled gateway counts as absent.
    pub enabled: bool,
    /// For people.
    pub description: String,
}

/// Where a trunk's events are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Checked when it was set; the address is checked again at each connect.
    pub url: String,
    /// Signs every body.
    pub secret: WebhookSecret,
}

/// Everything that files define: the node and what lies in the trunk files.
#[derive(Clone, Debug, PartialEq)]
pub struct Provisioned {
    /// From the main file.
    pub node: Node,
    /// From the trunk files.
    pub accounts: Vec<Account>,
    /// From the trunk files.
    pub trunks: Vec<Trunk>,
}

impl Provisioned {
    /// Takes the accounts and trunks out; the node stays.
    pub fn take(&mut self) -> Provisioned {
        let accounts = std::mem::take(&mut self.accounts);
        let trunks = std::mem::take(&mut self.trunks);
        Provisioned { node: self.node.clone(), accounts, trunks }
    }
}
