//! Ends calls that nobody else will end.
//!
//! Three nets. Slots of an earlier epoch, once Kamailio has taken up the dialogs it restored. Slots of this epoch that Kamailio
//! itself has named as lost ([`super::lookout`]). Both are marked, the ending is written down, then the slot is freed; a kill in
//! between is taken up at the next sweep. And open calls in the log that have no slot at all, twice in a row with an empty
//! ring in between. Must run only when the ring is empty: it may hold the true ending.

use std::collections::HashSet;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};
use trunk_admission::Now;
use trunk_admission::live::{Live, Reclaimed, SlotView};
use uuid::Uuid;

use super::lookout::{Lost, Why};
use super::recount::Recounts;
use crate::clock::Clock;
use crate::domain::Millis;
use crate::metrics::Metrics;
use crate::store::{Orphan, Store, StoreError, Written};

/// How often slots are looked at.
const SLOTS_EVERY: Duration = Duration::from_secs(1);
/// How often the log is compared with the slots.
const LOG_EVERY: Duration = Duration::from_secs(15);
/// Younger calls are left alone: their slot may be told of later than their event.
const LOG_AGE_MS: Millis = 20_000;
/// Most calls ended in one transaction.
const BATCH: usize = 512;

pub(super) struct Sweep {
    dir: PathBuf,
    live: Option<Live>,
    lost: mpsc::Receiver<Vec<Lost>>,
    recounts: Recounts,
    slots_at: Option<Instant>,
    log_at: Option<Instant>,
    suspects: HashSet<Uuid>,
}

/// Where it writes and counts.
pub(super) struct Means<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) clock: &'a dyn Clock,
    pub(super) metrics: &'a Metrics,
}

impl Sweep {
    pub(super) fn new(dir: PathBuf, lost: mpsc::Receiver<Vec<Lost>>) -> Sweep {
        let recounts = Recounts::new(dir.clone());
        Sweep { dir, live: None, lost, recounts, slots_at: None, log_at: None, suspects: HashSet::new() }
    }

    /// The module's live words, if Kamailio has made them.
    pub(super) fn live(&mut self) -> Option<&Live> {
        if !self.live.as_ref().is_some_and(|live| live.is_current(&self.dir)) {
            self.live = Live::attach(&self.dir).ok();
            self.suspects.clear();
        }
        self.live.as_ref()
    }

    /// Does what is due at `now`.
    pub(super) async fn run(&mut self, means: &Means<'_>, now: Instant) -> Result<Written, StoreError> {
        let mut written = Written::default();
        if self.recounts.is_running(now, means.metrics).await {
            return Ok(written);
        }
        if due(&mut self.slots_at, now, SLOTS_EVERY) {
            add(&mut written, self.slots(means).await?);
        }
        if let Ok(lost) = self.lost.try_recv() {
            for some in lost.chunks(BATCH) {
                add(&mut written, self.lost(some, means).await?);
            }
        }
        if due(&mut self.log_at, now, LOG_EVERY) {
            add(&mut written, self.log(means).await?);
        }
        self.recounts.begin(now);
        Ok(written)
    }

    /// Slots of earlier epochs, and marked ones.
    async fn slots(&mut self, means: &Means<'_>) -> Result<Written, StoreError> {
        let Some(live) = self.live() else { return Ok(Written::default()) };
        let marked: Vec<_> =
            live.orphans().into_iter().take(BATCH).filter_map(|slot| live.begin_reclaim(slot.slot)).collect();
        self.take_back(&vec!["epoch"; marked.len()], marked, means).await
    }

    /// Slots that Kamailio has named.
    async fn lost(&mut self, lost: &[Lost], means: &Means<'_>) -> Result<Written, StoreError> {
        let Some(live) = self.live() else { return Ok(Written::default()) };
        let (mut kinds, mut marked, mut recount) = (Vec::new(), Vec::new(), false);
        for Lost { why, slot, epoch, .. } in lost.iter().filter(|lost| lost.file == live.file()) {
            if *why == Why::Judging {
                if live.epoch() == *epoch && live.give_up(*slot) {
                    means.metrics.sweep.orphans.with_label_values(&[why.word()]).inc();
                    recount = true;
                }
            } else if let Some(reclaimed) = live.begin_reclaim_lost(*slot, *epoch) {
                kinds.push(why.word());
                marked.push(reclaimed);
                recount |= *why == Why::Ending;
            }
        }
        let written = self.take_back(&kinds, marked, means).await?;
        if recount {
            // Nobody knows what these had been taken out of already.
            self.recounts.ask();
        }
        Ok(written)
    }

    /// Writes the endings of marked slots down, then frees them.
    async fn take_back(
        &mut self,
        kinds: &[&'static str],
        marked: Vec<Reclaimed>,
        means: &Means<'_>,
    ) -> Result<Written, StoreError> {
        if marked.is_empty() {
            return Ok(Written::default());
        }
        let now = Now::read();
        let orphans: Vec<_> = marked.iter().map(|reclaimed| orphan(&reclaimed.0, now)).collect();
        let written = means.store.reconcile(orphans, means.clock.now_ms()).await?;
        for kind in kinds {
            means.metrics.sweep.orphans.with_label_values(&[kind]).inc();
        }
        tracing::warn!(
            slots = marked.len(),
            calls = written.events,
            kinds = ?kinds.iter().collect::<HashSet<_>>(),
            "calls that nobody would have ended were ended"
        );
        // Marked slots that could not be written stay marked, and are found again.
        if let Some(live) = self.live() {
            marked.into_iter().for_each(|reclaimed| live.finish_reclaim(reclaimed));
        }
        Ok(written)
    }

    /// Calls in the log without a slot.
    async fn log(&mut self, means: &Means<'_>) -> Result<Written, StoreError> {
        let Some(live) = self.live().filter(|live| live.restored()) else {
            self.suspects.clear();
            return Ok(Written::default());
        };
        let up: HashSet<Uuid> = live.slots_in_use().iter().map(|slot| Uuid::from_bytes(slot.uid)).collect();
        let (store, now_ms) = (means.store, means.clock.now_ms());
        let open = store.open_calls(now_ms - LOG_AGE_MS).await?;
        let missing: HashSet<Uuid> = open.into_iter().filter(|call| !up.contains(call)).collect();
        let lost: Vec<_> = missing.intersection(&self.suspects).copied().take(BATCH).collect();
        self.suspects = missing;
        if lost.is_empty() {
            return Ok(Written::default());
        }
        let orphans = lost
            .iter()
            .map(|&call| Orphan { call, trunk_live: None, start_ms: now_ms, end_ms: None })
            .collect();
        let written = store.reconcile(orphans, now_ms).await?;
        self.suspects.retain(|call| !lost.contains(call));
        means.metrics.sweep.orphans.with_label_values(&["slotless"]).inc_by(lost.len() as u64);
        tracing::warn!(calls = written.events, "calls without a slot were ended");
        Ok(written)
    }
}

fn orphan(slot: &SlotView, now: Now) -> Orphan {
    Orphan {
        call: Uuid::from_bytes(slot.uid),
        trunk_live: Some(slot.trunk_live),
        start_ms: Millis::try_from(slot.start_wall_ms).unwrap_or(0),
        end_ms: Millis::try_from(slot.clock.at(now)).ok(),
    }
}

fn due(last: &mut Option<Instant>, now: Instant, every: Duration) -> bool {
    let due = last.is_none_or(|last| now - last >= every);
    if due {
        *last = Some(now);
    }
    due
}

fn add(sum: &mut Written, more: Written) {
    sum.events += more.events;
    sum.endpoints.extend(more.endpoints);
}
