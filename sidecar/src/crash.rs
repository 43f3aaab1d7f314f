//! Named points between two steps of a write, where a proof tells trunkd to die; see the module of this name in `admission`.
//!
//! Without the feature `crash-points` a point is nothing at all. Only proofs build with it; a release never does.

/// A step of a write has just been done.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub(crate) fn point(_name: &'static str) {}

/// As above, and perhaps the last.
#[cfg(feature = "crash-points")]
pub(crate) fn point(name: &'static str) {
    trunk_admission::crash::point_of(POINTS, name);
}

/// Every point there is, in the order in which one comes to them: of a write, of a batch of events, of an attempt at a webhook.
#[cfg(feature = "crash-points")]
pub const POINTS: &[&str] = &[
    "write.begun",
    "write.revision",
    "write.object",
    "write.tables",
    "write.done",
    "write.committed",
    "write.queued",
    "publishing.taken",
    "publishing.applied",
    "kamailio.reload",
    "kamailio.reloaded",
    "ingest.read",
    "ingest.row",
    "ingest.written",
    "ingest.committed",
    "ingest.acknowledged",
    "delivery.due",
    "delivery.answered",
    "delivery.written",
    "delivery.recorded",
];
