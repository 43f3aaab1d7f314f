//! What people may want to know of deliveries, and do about them: look, send again, end and begin an endpoint; and every
//! event in order, for those who would rather fetch them.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Answer, EndpointId};
use crate::domain::Millis;

/// Most deliveries that one question looks at, whether or not they match.
pub const MAX_LOOKED_AT: usize = 10_000;

/// Where a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is or will be tried.
    Pending,
    /// A receiver took it.
    Delivered,
    /// It is tried no more, and waits to be sent again by hand.
    Parked,
}

impl DeliveryState {
    /// Every one.
    pub const ALL: [DeliveryState; 3] =
        [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Parked];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Parked => "parked",
        }
    }
}

/// Which deliveries; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Of whose events.
    pub account: Option<String>,
    /// Of which trunk's or application's endpoint.
    pub trunk: Option<String>,
    /// Where they are.
    pub state: Option<DeliveryState>,
    /// Of which call.
    pub call: Option<Uuid>,
    /// Of events that were written down at this time or later.
    pub from_ms: Option<Millis>,
    /// Of events that were written down before this time.
    pub before_ms: Option<Millis>,
}

/// One event on its way to one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRecord {
    /// Names it.
    pub id: i64,
    /// Id of the event, the same at every attempt.
    pub event_id: String,
    /// Its `type`.
    pub kind: String,
    /// Its call.
    pub call: Uuid,
    /// Its place in the call.
    pub sequence: u8,
    /// Trunk or application of the endpoint.
    pub trunk: String,
    /// Whose event it is.
    pub account: Option<String>,
    /// Where it is.
    pub state: DeliveryState,
    /// Attempts since it was put into the outbox, or since it was last sent again by hand.
    pub attempts: u32,
    /// When the next attempt is due; counts while it is pending.
    pub next_attempt_ms: Millis,
    /// When the event was written down.
    pub created_ms: Millis,
    /// When it was delivered or parked.
    pub ended_ms: Option<Millis>,
}

/// One attempt, as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// Which one.
    pub number: u32,
    /// `url` or `fallback`.
    pub target: String,
    /// When it began.
    pub started_ms: Millis,
    /// How long it took.
    pub duration_ms: Millis,
    /// In one word.
    pub outcome: String,
    /// HTTP status, if one came.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Vec<u8>,
}

/// A delivery with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryStory {
    /// The delivery.
    pub delivery: DeliveryRecord,
    /// The event as it is sent.
    pub body: String,
    /// Oldest first.
    pub attempts: Vec<LoggedAttempt>,
}

/// Some deliveries of a walk in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked<T> {
    /// Those that match; perhaps fewer than there was room for, if many did not match.
    pub found: Vec<T>,
    /// Id of the last one that was looked at; `None` if there was none.
    pub last: Option<i64>,
    /// Whether there are any behind it.
    pub more: bool,
}

/// Which deliveries are to be sent again, and at whose wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// Their ids.
    pub deliveries: Vec<i64>,
    /// Those of them alone that are there.
    pub state: Option<DeliveryState>,
    /// Those of them alone whose trunk or application is this account's now.
    pub owner: Option<String>,
}

/// What was put back into the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many deliveries.
    pub count: u64,
    /// Who has something new to be sent.
    pub endpoints: BTreeSet<EndpointId>,
}

/// How an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointReport {
    /// Names it.
    pub id: EndpointId,
    /// Whether it is sent to.
    pub enabled: bool,
    /// Why not.
    pub note: String,
    /// When that changed last.
    pub changed_ms: Millis,
    /// Deliveries that wait, and since when the oldest does.
    pub pending: i64,
    /// When the oldest of them was written down.
    pub oldest_pending_ms: Option<Millis>,
    /// Deliveries that wait to be sent again by hand.
    pub parked: i64,
}

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place among all events; grows, with gaps.
    pub position: i64,
    /// Its id.
    pub event_id: String,
    /// Its body.
    pub body: String,
}

/// The part of a store that people ask about deliveries.
pub trait Deliveries: Send + Sync + 'static {
    /// Deliveries older than `before`, newest first, at most `limit`. Looks at no more than [`MAX_LOOKED_AT`].
    fn list_deliveries(
        &self,
        filter: DeliveryFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Answer<'_, Walked<DeliveryRecord>>;

    /// Ids of deliveries newer than `after`, oldest first. Looks at no more than [`MAX_LOOKED_AT`].
    fn delivery_ids(&self, filter: DeliveryFilter, after: Option<i64>) -> Answer<'_, Walked<i64>>;

    /// One delivery.
    fn delivery(&self, id: i64) -> Answer<'_, Option<DeliveryStory>>;

    /// Puts deliveries back into the outbox as if new, with all their attempts before it. Leaves out what is not there, and
    /// what has no endpoint any more.
    fn replay(&self, again: Again, now_ms: Millis) -> Answer<'_, Replayed>;

    /// The endpoint of a trunk or application.
    fn endpoint(&self, trunk: String) -> Answer<'_, Option<EndpointReport>>;

    /// Has an endpoint sent to, or not; what is owed stays owed. `None` if there is none.
    fn enable_endpoint(&self, trunk: String, enabled: bool, now_ms: Millis)
    -> Answer<'_, Option<EndpointId>>;

    /// Events after a position, oldest first, at most `limit`; `account` lets through those of one account.
    fn events_after(
        &self,
        position: i64,
        account: Option<String>,
        limit: u32,
    ) -> Answer<'_, Vec<StoredEvent>>;
}
