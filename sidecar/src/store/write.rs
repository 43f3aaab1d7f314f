//! What a write asks of a store, and what came of it.
//!
//! A write is one transaction and one configuration revision: objects, audit rows, the kept answer and Kamailio's tables.

use uuid::Uuid;

pub use trunk_admission::publish::Change as Effect;

use crate::cost::Rate;
use crate::difference::Line;
use crate::domain::{
    Account, Actor, GatewayAddress, IdempotencyRecord, Node, Payer, RatePlan, Stamp, Token, Trunk,
};
use crate::gateways::Target;
use crate::kamailio::preflight::Limits;
use crate::publish::Capacity;

/// One change. Each is whole: what it does not name is gone.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The node's own settings.
    PutNode(Node),
    /// A new or changed account.
    PutAccount(Account),
    /// An account that is gone, its tokens with it. It must own no trunk.
    RemoveAccount(String),
    /// A new or changed trunk or application, with all its parts.
    PutTrunk(Box<Trunk>),
    /// A trunk or application that is gone.
    RemoveTrunk(String),
    /// Where a gateway leads that is given as a name. Nobody's wish but what name servers say, so it is no change of the trunk:
    /// its stamp stays. Nothing happens if the gateway is gone or means another name by now.
    PutAddresses {
        /// Its trunk.
        trunk: String,
        /// Its URI.
        uri: String,
        /// What was looked up.
        target: Target,
        /// Each once, in order.
        addresses: Vec<GatewayAddress>,
    },
    /// A new or changed token.
    PutToken(Token),
    /// A token that is gone.
    RemoveToken(Uuid),
    /// A new or changed rate plan; its rates stay.
    PutRatePlan(RatePlan),
    /// A rate plan that is gone, its rates with it. Nobody's calls may go by it.
    RemoveRatePlan(String),
    /// All rates of a plan.
    PutRates {
        /// The plan.
        plan: String,
        /// Each prefix once.
        rates: Vec<Rate>,
    },
    /// Whose calls go by which plan from now on.
    ChooseRatePlan {
        /// Whose.
        payer: Payer,
        /// `None` is by none of his own.
        plan: Option<String>,
    },
}

/// Changes that belong together: all of them are made, or none.
#[derive(Clone, Debug)]
pub struct Write {
    /// On whose behalf. Objects that this one does not manage are not touched.
    pub actor: Actor,
    /// What the audit log calls the request.
    pub request_id: String,
    /// In an order in which each can be applied.
    pub changes: Vec<Change>,
    /// The answer to be kept with it, if the request may be repeated.
    pub idempotency: Option<IdempotencyRecord>,
}

/// Under which circumstances a write is made.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The revision that the changes were made against.
    pub base: i64,
    /// What new and changed things are stamped with; its revision is `base` + 1.
    pub stamp: Stamp,
    /// How many things have room in shared memory.
    pub capacity: Capacity,
    /// What Kamailio can hold.
    pub kamailio: Limits,
}

/// What a write came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Its revision.
    pub revision: i64,
    /// What it means to the image, in order.
    pub effects: Vec<Effect>,
    /// Indexes that were another thing's before.
    pub reused: Vec<Reused>,
    /// What changed, for people.
    pub lines: Vec<Line>,
}

/// An index that is given to another thing than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reused {
    /// What has the index.
    pub kind: PlaceKind,
    /// The index.
    pub live: u32,
    /// The revision that took the index from its last owner.
    pub freed_revision: i64,
}

/// Kinds of things that have an index in shared memory, each counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum PlaceKind {
    Account,
    Trunk,
    Gateway,
}

impl PlaceKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            PlaceKind::Account => "account",
            PlaceKind::Trunk => "trunk",
            PlaceKind::Gateway => "gateway",
        }
    }
}
