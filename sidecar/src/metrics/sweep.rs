//! What the sweep counts: slots taken back, looks at Kamailio's dialogs, counts set right.

use prometheus::IntCounterVec;

use super::List;

/// The metrics of the sweep.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the help texts below say it")]
pub struct SweepMetrics {
    pub orphans: IntCounterVec,
    pub looks: IntCounterVec,
    pub recounts: IntCounterVec,
    pub drift: IntCounterVec,
}

impl SweepMetrics {
    pub(super) fn new(list: &List) -> prometheus::Result<SweepMetrics> {
        Ok(SweepMetrics {
            orphans: list.counters(
                "trunkline_orphans_total",
                "Slots taken back, by what their call had lost.",
                &["kind"],
            )?,
            looks: list.counters(
                "trunkline_dialog_looks_total",
                "Times Kamailio was asked which calls lost their dialog, by result.",
                &["result"],
            )?,
            recounts: list.counters(
                "trunkline_recounts_total",
                "Comparisons of all counts with the slots, by result.",
                &["result"],
            )?,
            drift: list.counters(
                "trunkline_count_drift_total",
                "Calls that were counted too many (over) or too few (under), and are right now.",
                &["direction"],
            )?,
        })
    }
}
