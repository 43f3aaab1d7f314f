//! What would change: the plan between the configuration in force and the wanted one. Pure.
//!
//! Names things and fields, never values that could be secret.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::domain::{Account, ManagedBy, Node, Provisioned, Trunk};
use crate::store::Snapshot;

/// One change to the stored configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The node's own settings.
    PutNode(Node),
    /// A new or changed account.
    PutAccount(Account),
    /// An account that is gone.
    RemoveAccount(String),
    /// A new or changed trunk.
    PutTrunk(Box<Trunk>),
    /// A trunk that is gone.
    RemoveTrunk(String),
}

/// The changes and their description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In an order in which each can be applied: owners before what they own, and the other way round for removal.
    pub changes: Vec<Change>,
    /// One line each, such as `changed trunk acme: limits, gateways`.
    pub lines: Vec<Line>,
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `added`, `changed` or `removed`.
    pub verb: &'static str,
    /// `node`, `account` or `trunk`.
    pub kind: &'static str,
    /// Which one.
    pub id: String,
    /// Which parts changed.
    pub fields: Vec<&'static str>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb, self.kind, self.id)?;
        if self.fields.is_empty() { Ok(()) } else { write!(f, ": {}", self.fields.join(", ")) }
    }
}

impl Plan {
    /// From what is stored to what the files say. Objects that the API manages are left alone.
    pub fn between(now: &Snapshot, wanted: &Provisioned) -> Plan {
        let mut plan = Plan::default();
        plan.node(now.node.as_ref(), &wanted.node);

        let accounts: HashMap<_, _> =
            now.accounts.iter().map(|placed| (placed.item.id.as_str(), &placed.item)).collect();
        for account in &wanted.accounts {
            plan.account(accounts.get(account.id.as_str()).copied(), account);
        }
        // Trunks that go make room in shared memory for those that come.
        let kept: HashSet<_> = wanted.trunks.iter().map(|trunk| trunk.id.as_str()).collect();
        for trunk in now.trunks.iter().map(|placed| &placed.item) {
            if trunk.managed_by == ManagedBy::File && !kept.contains(trunk.id.as_str()) {
                plan.push(Change::RemoveTrunk(trunk.id.clone()), "removed", "trunk", &trunk.id, Vec::new());
            }
        }
        let trunks: HashMap<_, _> =
            now.trunks.iter().map(|placed| (placed.item.id.as_str(), &placed.item)).collect();
        for trunk in &wanted.trunks {
            plan.trunk(trunks.get(trunk.id.as_str()).copied(), trunk);
        }
        let kept: HashSet<_> = wanted.accounts.iter().map(|account| account.id.as_str()).collect();
        for account in now.accounts.iter().map(|placed| &placed.item) {
            if account.managed_by == ManagedBy::File && !kept.contains(account.id.as_str()) {
                plan.push(
                    Change::RemoveAccount(account.id.clone()),
                    "removed",
                    "account",
                    &account.id,
                    Vec::new(),
                );
            }
        }
        plan
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many things are added, changed and removed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |verb| self.lines.iter().filter(|line| line.verb == verb).count();
        (count("added"), count("changed"), count("removed"))
    }

    fn push(
        &mut self,
        change: Change,
        verb: &'static str,
        kind: &'static str,
        id: &str,
        fields: Vec<&'static str>,
    ) {
        self.changes.push(change);
        self.lines.push(Line { verb, kind, id: id.to_owned(), fields });
    }

    fn node(&mut self, now: Option<&Node>, wanted: &Node) {
        let change = || Change::PutNode(wanted.clone());
        match now {
            None => self.push(change(), "added", "node", &wanted.name, Vec::new()),
            Some(now) => {
                let fields = differing([
                    ("name", now.name != wanted.name),
                    ("region", now.region != wanted.region),
                    ("base_domain", now.base_domain != wanted.base_domain),
                    ("inbound_host", now.inbound_host != wanted.inbound_host),
                    ("limits", now.limits != wanted.limits),
                ]);
                if !fields.is_empty() {
                    self.push(change(), "changed", "node", &wanted.name, fields);
                }
            }
        }
    }

    fn account(&mut self, now: Option<&Account>, wanted: &Account) {
        let change = || Change::PutAccount(wanted.clone());
        match now {
            None => self.push(change(), "added", "account", &wanted.id, Vec::new()),
            Some(now) => {
                let fields = differing([
                    ("name", now.name != wanted.name),
                    ("enabled", now.enabled != wanted.enabled),
                    ("limits", now.limits != wanted.limits),
                    ("managedBy", now.managed_by != wanted.managed_by),
                ]);
                if !fields.is_empty() {
                    self.push(change(), "changed", "account", &wanted.id, fields);
                }
            }
        }
    }

    fn trunk(&mut self, now: Option<&Trunk>, wanted: &Trunk) {
        let change = || Change::PutTrunk(Box::new(wanted.clone()));
        match now {
            None => self.push(change(), "added", "trunk", &wanted.id, Vec::new()),
            Some(now) => {
                let fields = differing([
                    ("account", now.account != wanted.account),
                    ("kind", now.kind != wanted.kind),
                    ("name", now.name != wanted.name),
                    ("description", now.description != wanted.description),
                    ("enabled", now.enabled != wanted.enabled),
                    ("authMode", now.auth_mode != wanted.auth_mode),
                    ("limits", now.limits != wanted.limits),
                    ("allowedRegions", now.allowed_regions != wanted.allowed_regions),
                    ("secure", now.secure != wanted.secure),
                    ("failoverCodes", now.failover_codes != wanted.failover_codes),
                    ("ipAcls", !same_set(&now.ip_acls, &wanted.ip_acls, |acl| acl.network)),
                    (
                        "credentials",
                        !same_set(&now.credentials, &wanted.credentials, |user| user.username.clone()),
                    ),
                    (
                        "originationUris",
                        !same_set(&now.origination_uris, &wanted.origination_uris, |gw| gw.uri.clone()),
                    ),
                    ("webhook", now.webhook != wanted.webhook),
                    ("managedBy", now.managed_by != wanted.managed_by),
                ]);
                if !fields.is_empty() {
                    self.push(change(), "changed", "trunk", &wanted.id, fields);
                }
            }
        }
    }
}

fn differing<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Whether two lists hold the same entries; their order in a file means nothing.
fn same_set<T: PartialEq, K: Ord>(a: &[T], b: &[T], key: impl Fn(&T) -> K) -> bool {
    let sorted = |list: &[T]| {
        let mut keyed: Vec<(K, usize)> =
            list.iter().enumerate().map(|(index, item)| (key(item), index)).collect();
        keyed.sort();
        keyed.into_iter().map(|(_, index)| index).collect::<Vec<_>>()
    };
    a.len() == b.len() && sorted(a).into_iter().zip(sorted(b)).all(|(i, j)| a[i] == b[j])
}
