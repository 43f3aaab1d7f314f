//! Ends calls that nobody else will end: those of a Kamailio that died and did not restore them.
//!
//! Two nets. Slots of an earlier epoch, once Kamailio has taken up the dialogs it restored: marked, the ending written
//! down, then freed; a kill in between is taken up at the next sweep. And open calls in the log that have no slot at
//! all, twice in a row with an empty ring in between. Must run only when the ring is empty: it may hold the true ending.

use std::collections::HashSet;
use std::path::PathBuf;

use tokio::time::{Duration, Instant};
use trunk_admission::live::{Live, SlotView};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::Millis;
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
    slots_at: Option<Instant>,
    log_at: Option<Instant>,
    suspects: HashSet<Uuid>,
}

impl Sweep {
    pub(super) fn new(dir: PathBuf) -> Sweep {
        Sweep { dir, live: None, slots_at: None, log_at: None, suspects: HashSet::new() }
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
    pub(super) async fn run(
        &mut self,
        store: &dyn Store,
        clock: &dyn Clock,
        now: Instant,
    ) -> Result<Written, StoreError> {
        let mut written = Written::default();
        if due(&mut self.slots_at, now, SLOTS_EVERY) {
            add(&mut written, self.slots(store, clock).await?);
        }
        if due(&mut self.log_at, now, LOG_EVERY) {
            add(&mut written, self.log(store, clock).await?);
        }
        Ok(written)
    }

    async fn slots(&mut self, store: &dyn Store, clock: &dyn Clock) -> Result<Written, StoreError> {
        let Some(live) = self.live() else { return Ok(Written::default()) };
        let marked: Vec<_> =
            live.orphans().into_iter().take(BATCH).filter_map(|slot| live.begin_reclaim(slot.slot)).collect();
        if marked.is_empty() {
            return Ok(Written::default());
        }
        let orphans: Vec<_> = marked.iter().map(|reclaimed| orphan(&reclaimed.0)).collect();
        let count = orphans.len();
        let written = store.reconcile(orphans, clock.now_ms()).await?;
        // Marked slots that could not be written stay marked, and are found again.
        if let Some(live) = self.live() {
            marked.into_iter().for_each(|reclaimed| live.finish_reclaim(reclaimed));
        }
        tracing::warn!(slots = count, calls = written.events, "calls of a dead Kamailio were ended");
        Ok(written)
    }

    async fn log(&mut self, store: &dyn Store, clock: &dyn Clock) -> Result<Written, StoreError> {
        let Some(live) = self.live().filter(|live| live.restored()) else {
            self.suspects.clear();
            return Ok(Written::default());
        };
        let up: HashSet<Uuid> = live.slots_in_use().iter().map(|slot| Uuid::from_bytes(slot.uid)).collect();
        let open = store.open_calls(clock.now_ms() - LOG_AGE_MS).await?;
        let missing: HashSet<Uuid> = open.into_iter().filter(|call| !up.contains(call)).collect();
        let lost: Vec<_> = missing.intersection(&self.suspects).copied().take(BATCH).collect();
        self.suspects = missing;
        if lost.is_empty() {
            return Ok(Written::default());
        }
        let orphans =
            lost.iter().map(|&call| Orphan { call, trunk_live: None, start_ms: clock.now_ms() }).collect();
        let written = store.reconcile(orphans, clock.now_ms()).await?;
        self.suspects.retain(|call| !lost.contains(call));
        tracing::warn!(calls = written.events, "calls without a slot were ended");
        Ok(written)
    }
}

fn orphan(slot: &SlotView) -> Orphan {
    Orphan {
        call: Uuid::from_bytes(slot.uid),
        trunk_live: Some(slot.trunk_live),
        start_ms: Millis::try_from(slot.start_wall_ms).unwrap_or(0),
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
