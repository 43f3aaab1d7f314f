//! Named points between two steps of a protocol, where a proof tells a process to die.
//!
//! Without the feature `crash-points` a point is nothing at all. With it, `TRUNK_CRASH=NAME:N` in the environment aborts
//! the process when it comes to the point `NAME` for the `N`-th time. Only proofs build with it; a release never does.

/// A step of a protocol has just been done.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub(crate) fn point(_name: &'static str) {}

#[cfg(feature = "crash-points")]
pub(crate) use armed::point;
#[cfg(feature = "crash-points")]
pub use armed::{POINTS, VARIABLE, point_of};

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// The environment variable that says where to die.
    pub const VARIABLE: &str = "TRUNK_CRASH";

    /// Every point there is, by protocol. A proof dies at each of them at least once.
    pub const POINTS: &[&str] = &[
        // A control file, and an image that becomes the one in force.
        "control.made",
        "control.layout",
        "control.magic",
        "control.renamed",
        "publish.locked",
        "publish.swept",
        "publish.built",
        "publish.created",
        "publish.written",
        "publish.shared",
        "publish.renamed",
        "publish.verified",
        "publish.slower",
        "control.revision",
        "control.time",
        "control.named",
        "publish.faster",
        "publish.removed",
        // A start of Kamailio.
        "live.made",
        "live.header",
        "live.magic",
        "live.renamed",
        "epoch.reset",
        "epoch.abandoned",
        "epoch.pid",
        "epoch.time",
        "epoch.begun",
        "epoch.restored",
        "events.made",
        "events.header",
        "events.magic",
        "events.renamed",
        "events.dead",
        // An event.
        "ring.reserved",
        "ring.word",
        "ring.length",
        "ring.committed",
        "spill.reserved",
        "spill.written",
        "spill.committed",
        "ring.lost",
        "ring.tail",
        // A call: admitted or refused, ended, restored, taken back.
        "slot.claimed",
        "slot.keyed",
        "slot.filled",
        "slot.abandoned",
        "admit.counted",
        "admit.taken",
        "admit.uncounted",
        "admit.returned",
        "admit.published",
        "call.answered",
        "call.answer-time",
        "call.bound",
        "end.claimed",
        "end.reported",
        "call.uncounted",
        "end.freed",
        "adopt.counted",
        "adopt.epoch",
        "adopt.gateway",
        "adopt.published",
        "reclaim.uncountable",
        "reclaim.marked",
        "reclaim.noted",
        "reclaim.uncounted",
        "reclaim.freed",
        // Counts that were wrong.
        "recount.corrected",
    ];

    pub(crate) fn point(name: &'static str) {
        point_of(POINTS, name);
    }

    /// Dies here if this is the hit that the environment names. A name that is not in `points` dies always, so the list
    /// cannot fall behind. Other programs' proofs use it with points of their own.
    pub fn point_of(points: &[&str], name: &'static str) {
        static AT: OnceLock<Option<(String, u64)>> = OnceLock::new();
        static HITS: Mutex<u64> = Mutex::new(0);
        let at = AT.get_or_init(|| {
            let value = std::env::var(VARIABLE).ok()?;
            let (name, hit) = value.split_once(':')?;
            Some((name.to_owned(), hit.parse().ok()?))
        });
        if !points.contains(&name) {
            eprintln!("{name} is not in the list of crash points");
            std::process::abort();
        }
        let Some((wanted, hit)) = at else { return };
        if wanted == name {
            let mut hits = HITS.lock().unwrap_or_else(PoisonError::into_inner);
            *hits += 1;
            if *hits == *hit {
                std::process::abort();
            }
        }
    }
}
