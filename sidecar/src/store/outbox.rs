//! What deliveries need of a store: who has work, what is due, what came of each attempt.
//!
//! Apart from [`super::Store`], so that whoever delivers can do nothing else, and days of deliveries can be played over an
//! outbox that lives in memory.

use super::{Answer, AttemptRecord, Due, EndpointId};
use crate::domain::Millis;

/// The outbox of a store.
pub trait Outbox: Send + Sync + 'static {
    /// Enabled endpoints that have anything pending.
    fn endpoints_with_work(&self) -> Answer<'_, Vec<EndpointId>>;

    /// The endpoints of those of these trunks and applications that have one.
    fn endpoints_of(&self, trunks: Vec<String>) -> Answer<'_, Vec<EndpointId>>;

    /// What an endpoint has to be sent; `None` if it is not enabled. An event waits for earlier ones of its call, as
    /// [`super::ORDERED_ATTEMPTS`] says.
    fn due(&self, endpoint: EndpointId, now_ms: Millis, limit: usize) -> Answer<'_, Option<Due>>;

    /// Brings everything pending forward by `by_ms`, and to no later than `latest_ms`: the clock was set back, and what was to
    /// be sent in a minute must not wait for years.
    fn pull_in(&self, by_ms: Millis, latest_ms: Millis) -> Answer<'_, ()>;

    /// Writes attempts down and moves their deliveries on, all of them or none.
    fn record(&self, attempts: Vec<AttemptRecord>) -> Answer<'_, ()>;
}
