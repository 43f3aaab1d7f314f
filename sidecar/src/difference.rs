//! What would change: the plan between the configuration that the files gave before and the one they give now. Pure.
//!
//! Names things and fields, never values that could be secret.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::domain::{
    ManagedBy, Millis, Node, Provisioned, Trunk, Webhook, account_fields, kind_name, node_fields,
    trunk_fields,
};
use crate::store::{Change, Placed, PlacedTrunk, Snapshot};

/// The changes and their description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In an order in which each can be applied: owners before what they own, and the other way round for removal.
    pub changes: Vec<Change>,
    /// One line for each change.
    pub lines: Vec<Line>,
}

/// What a change does to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Verb {
    Added,
    Changed,
    Removed,
}

impl Verb {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Added => "added",
            Verb::Changed => "changed",
            Verb::Removed => "removed",
        }
    }
}

/// One line of a plan, such as `changed trunk acme: limits, originationUris`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What happens to it.
    pub verb: Verb,
    /// `node`, `account`, `trunk`, `application` or `token`.
    pub kind: &'static str,
    /// Which one.
    pub id: String,
    /// Which fields changed.
    pub fields: Vec<&'static str>,
    /// Index in shared memory of a trunk or application that was there before: calls of it may be up.
    pub live: Option<u32>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb.name(), self.kind, self.id)?;
        if self.fields.is_empty() { Ok(()) } else { write!(f, ": {}", self.fields.join(", ")) }
    }
}

impl Plan {
    /// From what is stored to what the files say. Objects that the API manages are left alone; that an id of theirs is
    /// in no file is for the caller to see to. A webhook's secret that changes goes on signing for a day from `now_ms` on.
    pub fn between(now: &Snapshot, wanted: &Provisioned, now_ms: Millis) -> Plan {
        let mut plan = Plan::default();
        plan.node(now.node.as_ref(), &wanted.node);

        let accounts: HashMap<_, _> =
            now.accounts.iter().map(|placed| (placed.item.id.as_str(), placed)).collect();
        for account in &wanted.accounts {
            let now = accounts.get(account.id.as_str()).map(|placed| &placed.item);
            let fields = now.map(|now| account_fields(now, account));
            let change = || Change::PutAccount(account.clone());
            plan.put(change, "account", &account.id, fields, None);
        }
        // Trunks that go make room in shared memory for those that come.
        let kept: HashSet<_> = wanted.trunks.iter().map(|trunk| trunk.id.as_str()).collect();
        let ours = |placed: &&PlacedTrunk| placed.item.managed_by == ManagedBy::File;
        for PlacedTrunk { item: trunk, live, .. } in now.trunks.iter().filter(ours) {
            if !kept.contains(trunk.id.as_str()) {
                let change = Change::RemoveTrunk(trunk.id.clone());
                plan.remove(change, kind_name(trunk.kind), &trunk.id, Some(*live));
            }
        }
        let trunks: HashMap<_, _> =
            now.trunks.iter().map(|placed| (placed.item.id.as_str(), placed)).collect();
        for trunk in &wanted.trunks {
            plan.trunk(trunks.get(trunk.id.as_str()).copied(), trunk, now_ms);
        }
        let kept: HashSet<_> = wanted.accounts.iter().map(|account| account.id.as_str()).collect();
        for Placed { item: account, .. } in &now.accounts {
            if account.managed_by == ManagedBy::File && !kept.contains(account.id.as_str()) {
                plan.remove(Change::RemoveAccount(account.id.clone()), "account", &account.id, None);
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
        (count(Verb::Added), count(Verb::Changed), count(Verb::Removed))
    }

    /// Indexes in shared memory of the trunks and applications that change or go.
    pub fn touched(&self) -> Vec<u32> {
        self.lines.iter().filter_map(|line| line.live).collect()
    }

    fn node(&mut self, now: Option<&Node>, wanted: &Node) {
        let fields = now.map(|now| node_fields(now, wanted));
        self.put(|| Change::PutNode(wanted.clone()), "node", &wanted.name, fields, None);
    }

    fn trunk(&mut self, now: Option<&PlacedTrunk>, wanted: &Trunk, now_ms: Millis) {
        let wanted = with_overlap(now.map(|now| &now.item), wanted, now_ms);
        let fields = now.map(|now| trunk_fields(&now.item, &wanted));
        let live = now.map(|now| now.live);
        let (kind, id) = (kind_name(wanted.kind), wanted.id.clone());
        self.put(|| Change::PutTrunk(Box::new(wanted.into_owned())), kind, &id, fields, live);
    }

    /// `fields` is `None` for a thing that is new.
    fn put(
        &mut self,
        change: impl FnOnce() -> Change,
        kind: &'static str,
        id: &str,
        fields: Option<Vec<&'static str>>,
        live: Option<u32>,
    ) {
        let (verb, fields) = match fields {
            None => (Verb::Added, Vec::new()),
            Some(fields) if fields.is_empty() => return,
            Some(fields) => (Verb::Changed, fields),
        };
        self.changes.push(change());
        self.lines.push(Line { verb, kind, id: id.to_owned(), fields, live });
    }

    fn remove(&mut self, change: Change, kind: &'static str, id: &str, live: Option<u32>) {
        self.changes.push(change);
        self.lines.push(Line { verb: Verb::Removed, kind, id: id.to_owned(), fields: Vec::new(), live });
    }
}

/// A trunk as a file says it, with the secret that signs beside its webhook's own, which no file says.
fn with_overlap<'a>(now: Option<&Trunk>, wanted: &'a Trunk, now_ms: Millis) -> Cow<'a, Trunk> {
    let stored = now.and_then(|now| now.webhook.as_ref());
    let (Some(stored), Some(webhook)) = (stored, &wanted.webhook) else { return Cow::Borrowed(wanted) };
    let Some(old) = webhook.overlap(stored, now_ms) else { return Cow::Borrowed(wanted) };
    let webhook = Webhook { old_secret: Some(old), ..webhook.clone() };
    Cow::Owned(Trunk { webhook: Some(webhook), ..wanted.clone() })
}
