//! What a publisher is told: single changes, the node's own settings, and when a base is made anew.

use crate::model::{Account, Limits, Region, Table, Trunk};

/// One change to the configuration in force. Each is whole: what it does not name is gone.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The node's own settings. Another region or base domain makes a new base.
    PutNode(Node),
    /// A new or changed account, known by its id.
    PutAccount(Account),
    /// The account with this id is gone; nothing happens if there is none.
    RemoveAccount(String),
    /// A new or changed trunk, known by its id.
    PutTrunk(Box<Trunk>),
    /// The trunk with this id is gone; nothing happens if there is none.
    RemoveTrunk(String),
}

/// Settings of the node: what a [`Table`] says beside its accounts and trunks.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the node stands.
    pub region: Region,
    /// The domain below which each trunk has its own, lower case.
    pub base_domain: String,
    /// The host of every inbound URI, lower case.
    pub inbound_host: String,
    /// Limits over all calls of the node.
    pub limits: Limits,
}

impl Node {
    /// The node's settings in `table`.
    pub fn of(table: &Table) -> Node {
        Node {
            region: table.region,
            base_domain: table.base_domain.clone(),
            inbound_host: table.inbound_host.clone(),
            limits: table.node,
        }
    }

    /// Whether the records of a base made for `base` are right for this node too.
    pub(super) fn can_use(&self, base: &Node) -> bool {
        self.region == base.region && self.base_domain == base.base_domain
    }
}

/// When a base is made anew. The default suits any size; tests take smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folding {
    /// Tables of up to so many trunks never have an overlay: their base is made in less than a millisecond.
    pub small_trunks: usize,
    /// In tables of up to so many trunks, the publish that finds an overlay due for folding folds it itself.
    pub at_once_trunks: usize,
    /// An overlay is due when more trunks and accounts than this are in it, or more than a sixteenth of the table
    /// (but never fewer than 64).
    pub changed: usize,
}

impl Default for Folding {
    fn default() -> Folding {
        Folding { small_trunks: 256, at_once_trunks: 10_000, changed: 2_048 }
    }
}

impl Folding {
    /// Whether so many changes are too many for an overlay on a base of so many trunks.
    pub(super) fn due(&self, trunks: usize, changed: usize) -> bool {
        changed > self.changed.min((trunks / 16).max(64))
    }
}
