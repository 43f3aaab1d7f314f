//! What the daemon keeps: the trait that every store fulfils, and its one error type.
//!
//! SQL is nowhere but below this module. Every method is one transaction: done wholly or not at all, and durable when
//! it answers. A store must be safe to kill at any instant.

mod calls;
mod deliveries;
mod lists;
mod outbox;
mod rows;
pub mod sqlite;
mod write;

use std::future::Future;
use std::pin::Pin;

use trunk_admission::model::Table;
use uuid::Uuid;

use crate::call::Call;
use crate::cost::Rate;
use crate::domain::{
    Account, AuditEntry, IdempotencyRecord, ManagedBy, Millis, Node, Payer, RatePlan, Token,
};
use crate::kamailio::mark;
use crate::kamailio::preflight::Refusal;
use crate::publish::Capacity;
pub use calls::{CallCursor, CallFilter, CallPage, CallSums, CallsFound};
pub use deliveries::{
    Again, Deliveries, DeliveryFilter, DeliveryRecord, DeliveryState, DeliveryStory, EndpointReport,
    LoggedAttempt, MAX_LOOKED_AT, Replayed, StoredEvent, Walked,
};
pub use lists::{AuditFilter, Listed, Page, Recent, TrunkFilter};
pub use outbox::Outbox;
pub use rows::{
    AttemptRecord, Backlog, Batch, CallRecord, Delivery, Due, EndpointId, NamedGateway, Orphan, Placed,
    PlacedAddress, PlacedTrunk, Snapshot, Target, Then, Written,
};
pub use write::{Change, Committed, Effect, PlaceKind, Reused, Terms, Write};

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
    /// Some objects are managed by another than who wants to change them.
    #[error("{}", join(.0))]
    Managed(Vec<Managed>),
    /// A rule between objects is broken, such as an owner that does not exist.
    #[error("the change contradicts what is stored: {0}")]
    Contradiction(String),
    /// Kamailio could not hold the tables after it.
    #[error("{}", join(.0))]
    Kamailio(Vec<Refusal>),
    /// The operating system said no.
    #[error("reading or writing the database: {0}")]
    Io(String),
    /// The store has been shut down.
    #[error("the store is closed")]
    Closed,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// Whether it is the store that is in trouble, and not the request: worth an alarm, and another try later.
    pub fn is_trouble(&self) -> bool {
        use StoreError::*;
        matches!(self, Busy | Full | Damaged(_) | Newer { .. } | Io(_) | Closed | Other(_))
    }
}

/// An object that somebody else manages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {id:?} is managed by {}", .by.owner())]
pub struct Managed {
    /// `account`, `trunk` or `application`.
    pub kind: &'static str,
    /// Which one.
    pub id: String,
    /// Who manages it.
    pub by: ManagedBy,
}

fn join(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A place that keeps everything.
pub trait Store: Outbox + Deliveries {
    /// The newest revision; 0 before the first.
    fn revision(&self) -> Answer<'_, i64>;

    /// Everything that is configured.
    fn snapshot(&self) -> Answer<'_, Snapshot>;

    /// The node, and of accounts and trunks those that files manage.
    fn provisioned(&self) -> Answer<'_, Snapshot>;

    /// The whole configuration as an image needs it; `None` before the first node. Costs less memory than a snapshot.
    fn table(&self, capacity: Capacity) -> Answer<'_, Option<Table>>;

    /// Makes a write under its terms, gives new things an index.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the newest revision is not the terms' base; others as they say.
    fn commit(&self, write: Write, terms: Terms) -> Answer<'_, Committed>;

    /// What Kamailio's tables hold.
    fn kamailio(&self) -> Answer<'_, mark::Written>;

    /// Compares Kamailio's tables with the configuration, and writes them anew if they differ. Whether they did.
    fn check_kamailio(&self, capacity: Capacity) -> Answer<'_, bool>;

    /// Writes something that changes nothing, to learn whether anything can be written.
    fn try_write(&self) -> Answer<'_, ()>;

    /// The node, if anything was configured yet.
    fn node(&self) -> Answer<'_, Option<Node>>;

    /// One account.
    fn account(&self, id: String) -> Answer<'_, Option<Placed<Account>>>;

    /// One trunk or application.
    fn trunk(&self, id: String) -> Answer<'_, Option<PlacedTrunk>>;

    /// Those of these trunks and applications that exist, in no order.
    fn trunks(&self, ids: Vec<String>) -> Answer<'_, Vec<PlacedTrunk>>;

    /// Those of these accounts that exist, in no order.
    fn accounts(&self, ids: Vec<String>) -> Answer<'_, Vec<Placed<Account>>>;

    /// Who manages those of these accounts and trunks that exist.
    fn managers(&self, accounts: Vec<String>, trunks: Vec<String>) -> Answer<'_, Vec<Managed>>;

    /// Every enabled gateway that is given as a name.
    fn named_gateways(&self) -> Answer<'_, Vec<NamedGateway>>;

    /// A page of the accounts, by id; `only` lets through one.
    fn list_accounts(&self, only: Option<String>, page: Page) -> Answer<'_, Listed<Placed<Account>>>;

    /// A page of the trunks and applications, by id.
    fn list_trunks(&self, filter: TrunkFilter, page: Page) -> Answer<'_, Listed<PlacedTrunk>>;

    /// One token.
    fn token(&self, id: Uuid) -> Answer<'_, Option<Token>>;

    /// The token with this look-up prefix.
    fn token_with_prefix(&self, prefix: String) -> Answer<'_, Option<Token>>;

    /// A page of the tokens, by id; `account` lets through those of one account.
    fn list_tokens(&self, account: Option<String>, page: Page) -> Answer<'_, Listed<Token>>;

    /// Notes when tokens were used last. No revision: nothing is configured by it.
    fn touch_tokens(&self, used: Vec<(Uuid, Millis)>) -> Answer<'_, ()>;

    /// A page of the audit log, newest first.
    fn list_audit(&self, filter: AuditFilter, page: Page) -> Answer<'_, Listed<AuditEntry>>;

    /// The answer kept for this key of this token, if it was not forgotten.
    fn kept_answer(&self, owner: Uuid, key: String, now_ms: Millis) -> Answer<'_, Option<IdempotencyRecord>>;

    /// One rate plan.
    fn rate_plan(&self, id: String) -> Answer<'_, Option<RatePlan>>;

    /// A page of the rate plans, by id.
    fn list_rate_plans(&self, page: Page) -> Answer<'_, Listed<RatePlan>>;

    /// A page of a plan's rates, by prefix.
    fn list_rates(&self, plan: String, page: Page) -> Answer<'_, Listed<Rate>>;

    /// The plan that somebody's calls go by, if he has one of his own.
    fn rate_plan_of(&self, payer: Payer) -> Answer<'_, Option<String>>;

    /// How many accounts, trunks and applications go by a plan.
    fn rate_plan_payers(&self, plan: String) -> Answer<'_, u64>;

    /// The highest sequence of this ring that was written down; `None` if it is another ring.
    fn ring_position(&self, ring_id: u64) -> Answer<'_, Option<u64>>;

    /// Writes calls, events and deliveries, and the position in the ring. An event that is there already changes nothing.
    fn ingest(&self, batch: Batch, now_ms: Millis) -> Answer<'_, Written>;

    /// Admitted calls that have not ended and began before `before_ms`.
    fn open_calls(&self, before_ms: Millis) -> Answer<'_, Vec<Uuid>>;

    /// Ends calls as `UNKNOWN`, `reconciled`. One that has ended is left alone.
    fn reconcile(&self, orphans: Vec<Orphan>, now_ms: Millis) -> Answer<'_, Written>;

    /// One call.
    fn call(&self, id: Uuid) -> Answer<'_, Option<Call>>;

    /// A page of the calls, newest first. Looks at a bounded number of calls, whatever there are.
    fn list_calls(&self, filter: CallFilter, page: CallPage) -> Answer<'_, CallsFound>;

    /// Sums the calls behind a place up, a bounded number of them; where to go on, if any are left.
    fn sum_calls(
        &self,
        filter: CallFilter,
        after: Option<CallCursor>,
    ) -> Answer<'_, (CallSums, Option<CallCursor>)>;

    /// Forgets ended calls that began before `before_ms`, the oldest first, at most `limit`. How many it were.
    fn forget_calls(&self, before_ms: Millis, limit: u32) -> Answer<'_, u32>;

    /// Looks at `limit` events behind a position: those from before `before_ms` that nobody is still owed, and behind which to
    /// go on; `None` if the next one is too young.
    fn old_events(&self, before_ms: Millis, after: i64, limit: u32) -> Answer<'_, (Vec<i64>, Option<i64>)>;

    /// Forgets these events with their deliveries, but for those that are owed again. How many it were.
    fn forget_events(&self, positions: Vec<i64>) -> Answer<'_, u32>;

    /// What the clock said last when it was believed.
    fn believed_clock(&self) -> Answer<'_, Option<Millis>>;

    /// Keeps what a clock says that is believed.
    fn believe_clock(&self, at_ms: Millis) -> Answer<'_, ()>;

    /// How many attempts there were since `since_ms`, and the last that were refused, at most `limit`. Of the filter, trunk
    /// and account count, and the narrower one alone.
    fn recent_calls(&self, filter: CallFilter, since_ms: Millis, limit: u32) -> Answer<'_, Recent>;

    /// How much is waiting.
    fn backlog(&self) -> Answer<'_, Backlog>;

    /// Finishes what was asked before and lets go of the database; everything after it answers `Closed`.
    fn close(&self) -> Answer<'_, ()>;
}
