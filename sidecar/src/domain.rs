//! The configuration as plain values that every part shares: what a node, an account and a trunk are.
//!
//! No I/O, no SQL, no TOML. Must never hold a clear-text SIP password: credentials carry hashes only.

mod access;
pub mod audit;
mod compare;
mod names;
mod parts;
mod rate_plan;
mod stamp;
mod webhook;

use trunk_admission::model::{AuthMode, Kind, Region};
use uuid::Uuid;

pub use access::{Actor, AuditEntry, IdempotencyRecord, Scope, Token};
pub use compare::{PARTS, account_fields, node_fields, rate_plan_fields, token_fields, trunk_fields};
pub use names::{auth_mode_from_name, auth_mode_name, kind_from_name, kind_name};
pub use parts::{Credential, GatewayAddress, IpAcl, OriginationUri, Transport};
pub use rate_plan::{Payer, RatePlan};
pub use stamp::{Part, Stamp, Stamped, settle, settle_trunk};
pub use webhook::{OldSecret, Wanted, Webhook, WebhookMethod};

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
    /// Set by the store.
    pub stamp: Stamp,
}

/// A SIP trunk or a voice application, with everything below it: the unit that is read, changed and written.
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
    /// How its gateways are reached whose URI names no transport.
    pub transport: Transport,
    /// Take calls over TLS only.
    pub secure: bool,
    /// Answers after which the next gateway is tried; `None` is the default list.
    pub failover_codes: Option<Vec<u16>>,
    /// User part of the inbound URI, a version 4 UUID: an application that takes SIP calls has one, nothing else does.
    pub inbound_user: Option<Uuid>,
    /// Whether callers of an application need a password. Its credential, if any, has the inbound user's name and the
    /// inbound host as realm.
    pub password_auth: bool,
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
    /// Set by the store. Of a trunk it moves with the trunk's own fields only, each part having its own; of an
    /// application, which is one object for its owner, with the parts' too.
    pub stamp: Stamp,
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
