//! What the daemon keeps: the trait that every store fulfils, and its one error type.
//!
//! SQL is nowhere but below this module. Every method is one transaction: done wholly or not at all, and durable when
//! it answers. A store must be safe to kill at any instant.

mod rows;
pub mod sqlite;

use std::future::Future;
use std::pin::Pin;

use uuid::Uuid;

use crate::difference::Plan;
use crate::domain::Millis;
use crate::publish::Capacity;
pub use rows::{
    AttemptRecord, Backlog, Batch, CallRecord, Delivery, Due, EndpointId, Orphan, Placed, PlacedTrunk,
    Snapshot, Then, Written,
};

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
