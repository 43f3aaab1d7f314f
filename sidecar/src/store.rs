//! What the daemon keeps: the trait that every store fulfils, and its one error type.
//!
//! SQL is nowhere but below this module. Every method is one transaction: done wholly or not at all, and durable when
//! it answers. A store must be safe to kill at any instant.

pub mod sqlite;

use std::future::Future;
use std::pin::Pin;

use uuid::Uuid;

use crate::call::Report;
use crate::difference::Plan;
use crate::domain::{Account, Millis, Node, Trunk};
use crate::publish::Capacity;
use crate::secret::WebhookSecret;

/// An event waits for an earlier one of its call until that is delivered, parked, or has failed so often: order is kept
/// over ordinary trouble, and one event that a receiver chokes on cannot hold back a hangup for days.
pub const ORDERED_ATTEMPTS: u32 = 3;

/// A store's answer, to be awaited.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why the store did not do what was asked. Nothing was half done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the database.
    #[error("the database is locked by another process")]
    Busy,
    /// No space for the write.
    #[error("the disk is full")]
    Full,
    /// The file is no database, or a broken one.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The database was made by a newer trunkd.
    #[error("the database has schema {found}; this trunkd knows up to {known}")]
    Newer {
        /// Its schema number.
        found: usize,
        /// The last number we know.
        known: usize,
    },
    /// The configuration moved on since it was read.
    #[error("the configuration changed meanwhile: at revision {found}, expected {expected}")]
    Conflict {
        /// Revision the change was made against.
        expected: i64,
        /// Revision in force.
        found: i64,
    },
    /// No index in shared memory is left.
    #[error("no room for another {0} in shared memory")]
    NoRoom(&'static str),
    /// The store has been shut down.
    #[error("the store is closed")]
    Closed,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

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
    /// Where to.
    pub url: String,
    /// Signed with.
    pub secret: WebhookSecret,
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

/// What happens with a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
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

/// A place that keeps everything.
pub trait Store: Send + Sync + 'static {
    /// The configuration in force.
    fn snapshot(&self) -> Answer<'_, Snapshot>;

    /// Applies a plan made against revision `base`, gives new things an index, and returns the new revision.
    fn apply(&self, base: i64, plan: Plan, capacity: Capacity, now_ms: Millis) -> Answer<'_, i64>;

    /// The highest sequence of this ring that was written down; `None` if it is another ring.
    fn ring_position(&self, ring_id: u64) -> Answer<'_, Option<u64>>;

    /// Writes calls, events and deliveries, and the position in the ring. An event that is there already changes nothing.
    fn ingest(&self, batch: Batch, now_ms: Millis) -> Answer<'_, Written>;

    /// Admitted calls that have not ended and began before `before_ms`.
    fn open_calls(&self, before_ms: Millis) -> Answer<'_, Vec<Uuid>>;

    /// Ends calls as `UNKNOWN`, `reconciled`. One that has ended is left alone.
    fn reconcile(&self, orphans: Vec<Orphan>, now_ms: Millis) -> Answer<'_, Written>;

    /// Enabled endpoints that have anything pending.
    fn endpoints_with_work(&self) -> Answer<'_, Vec<EndpointId>>;

    /// What an endpoint has to be sent; `None` if it is not enabled. An event waits for earlier ones of its call, as
    /// [`ORDERED_ATTEMPTS`] says.
    fn due(&self, endpoint: EndpointId, now_ms: Millis, limit: usize) -> Answer<'_, Option<Due>>;

    /// Writes an attempt down and moves its delivery on.
    fn record(&self, attempt: AttemptRecord) -> Answer<'_, ()>;

    /// How much is waiting.
    fn backlog(&self) -> Answer<'_, Backlog>;

    /// Finishes what was asked before and lets go of the database; everything after it answers `Closed`.
    fn close(&self) -> Answer<'_, ()>;
}
