//! What goes into a store and comes out of it: plain values, the same for every kind of store.
//!
//! Must never name a table, a column or a connection.

use uuid::Uuid;

use crate::call::Report;
use crate::domain::{Account, GatewayAddress, Millis, Node, Trunk, Webhook};
use crate::gateways::Target as GatewayTarget;

/// The configuration at one revision, with the places of its things in shared memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// 0 before the first change.
    pub revision: i64,
    /// `None` before the first change.
    pub node: Option<Node>,
    /// Sorted by id.
    pub accounts: Vec<Placed<Account>>,
    /// Sorted by id.
    pub trunks: Vec<PlacedTrunk>,
}

/// A thing and its index in shared memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// The thing.
    pub item: T,
    /// Its index.
    pub live: u32,
}

/// A trunk, its index, and those of its gateways in the order of `origination_uris`.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedTrunk {
    /// The trunk.
    pub item: Trunk,
    /// Its index.
    pub live: u32,
    /// Its gateways' indexes.
    pub gateways: Vec<u32>,
    /// Where those lead that are names, as far as known: by URI, then in order.
    pub addresses: Vec<PlacedAddress>,
    /// Index of the account that owns it.
    pub account: Option<u32>,
}

impl PlacedTrunk {
    /// Where a gateway leads that is a name.
    pub fn addresses_of(&self, uri: &str) -> impl Iterator<Item = &PlacedAddress> {
        self.addresses.iter().filter(move |address| address.gateway == uri)
    }
}

/// An address that a gateway's name leads to, with the index of its health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedAddress {
    /// URI of the gateway.
    pub gateway: String,
    /// The address.
    pub item: GatewayAddress,
    /// Its index.
    pub live: u32,
}

/// An enabled gateway that is given as a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedGateway {
    /// Its trunk.
    pub trunk: String,
    /// Its URI.
    pub uri: String,
    /// What is looked up for it.
    pub target: GatewayTarget,
    /// Where it leads, as far as known, in order.
    pub addresses: Vec<GatewayAddress>,
    /// How many gateways of its trunk are names, it and those that are disabled included.
    pub names: usize,
}

/// Records of the ring, to be written down together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which ring.
    pub ring_id: u64,
    /// Highest sequence among its records, malformed ones included.
    pub last_sequence: u64,
    /// The readable records in order.
    pub records: Vec<CallRecord>,
}

/// One readable record.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// The call.
    pub call: Uuid,
    /// Its trunk, if one was found.
    pub trunk: Option<String>,
    /// When it happened.
    pub at_ms: Millis,
    /// What happened.
    pub report: Report,
}

/// An admitted call that nobody will end any more.
#[derive(Clone, Debug)]
pub struct Orphan {
    /// The call.
    pub call: Uuid,
    /// Index of its trunk in shared memory, as far as known, for a call that was never written down.
    pub trunk_live: Option<u32>,
    /// When it began, likewise.
    pub start_ms: Millis,
    /// When it ended, by its own clock; `None` is now.
    pub end_ms: Option<Millis>,
}

/// What a write of calls led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Events that are new; one that was there already is not counted.
    pub events: usize,
    /// Endpoints that have something new to be sent.
    pub endpoints: Vec<EndpointId>,
}

/// Names an endpoint within the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub i64);

/// What an endpoint has to be sent now.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Where to, how, and what signs it.
    pub webhook: Webhook,
    /// Deliveries whose time has come, oldest first, at most as many as asked for.
    pub deliveries: Vec<Delivery>,
    /// When the next one comes that is not due yet or has to wait for another of its call; `None` if none is left.
    pub next_ms: Option<Millis>,
}

/// One event for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Names it within the store.
    pub id: i64,
    /// Id of the event; the same at every attempt.
    pub event_id: String,
    /// Attempts that were made and recorded.
    pub attempts: u32,
    /// When the event was written down.
    pub created_ms: Millis,
    /// The bytes that are sent.
    pub body: String,
}

/// One attempt and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The delivery.
    pub delivery: i64,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Which of its receivers was asked.
    pub target: Target,
    /// Which attempt, from 1.
    pub number: u32,
    /// When it began.
    pub started_ms: Millis,
    /// How long it took.
    pub duration_ms: Millis,
    /// One word for people and metrics.
    pub outcome: &'static str,
    /// HTTP status, if one came.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Vec<u8>,
    /// What happens with the delivery.
    pub then: Then,
}

/// The receivers of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The URL.
    Url,
    /// Its fallback.
    Fallback,
}

impl Target {
    /// As the attempt log has it.
    pub fn name(self) -> &'static str {
        match self {
            Target::Url => "url",
            Target::Fallback => "fallback",
        }
    }
}

/// What happens with a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The attempt goes on, with the fallback.
    GoOn,
    /// It is done.
    Delivered,
    /// Try again at this time.
    RetryAt(Millis),
    /// Keep it, try no more.
    Park,
    /// The receiver wants nothing more: disable the endpoint and keep this and all others pending.
    Disable,
}

/// How much is waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that will be tried.
    pub pending: i64,
    /// Deliveries that wait for an operator.
    pub parked: i64,
    /// Endpoints that are disabled.
    pub disabled_endpoints: i64,
}
