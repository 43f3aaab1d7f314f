//! Compares the counts of calls with the slots every minute, and at once when a slot was freed that may have left them wrong.
//!
//! On a thread of its own, because it looks and waits in turns. Nothing may be taken back meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use trunk_admission::live::{Live, Recount};

use crate::metrics::Metrics;

/// How often, when all is well.
const EVERY: Duration = Duration::from_secs(60);
/// How soon again when calls moved too fast for some count.
const AGAIN: Duration = Duration::from_secs(5);
/// Looks at all slots in one recount: a tenth of a second at most.
const ROUNDS: u32 = 50;

/// The one recount at a time.
pub(super) struct Recounts {
    dir: PathBuf,
    next: Instant,
    running: Option<JoinHandle<Recount>>,
}

impl Recounts {
    /// The first one comes after a while: a start of trunkd has other things to do.
    pub(super) fn new(dir: PathBuf) -> Recounts {
        Recounts { dir, next: Instant::now() + AGAIN, running: None }
    }

    /// Asks for one at the next opportunity.
    pub(super) fn ask(&mut self) {
        self.next = Instant::now();
    }

    /// Whether one is running. Takes down what a finished one came to.
    pub(super) async fn is_running(&mut self, now: Instant, metrics: &Metrics) -> bool {
        match self.running.take_if(|running| running.is_finished()) {
            None => self.running.is_some(),
            Some(finished) => {
                // It ends early only when the runtime does.
                if let Ok(recount) = finished.await {
                    self.next = now + if recount.unsettled == 0 { EVERY } else { AGAIN };
                    note(&recount, metrics);
                }
                false
            }
        }
    }

    /// Begins one if it is time.
    pub(super) fn begin(&mut self, now: Instant) {
        if now < self.next || self.running.is_some() {
            return;
        }
        let dir = self.dir.clone();
        self.running = Some(tokio::task::spawn_blocking(move || {
            Live::attach(&dir).map(|live| live.recount(ROUNDS)).unwrap_or_default()
        }));
    }
}

fn note(recount: &Recount, metrics: &Metrics) {
    let result = match recount {
        Recount { corrected, .. } if !corrected.is_empty() => "corrected",
        Recount { unsettled: 1.., .. } => "unsettled",
        _ => "right",
    };
    metrics.sweep.recounts.with_label_values(&[result]).inc();
    for &(count, drift) in &recount.corrected {
        let direction = if drift > 0 { "over" } else { "under" };
        metrics.sweep.drift.with_label_values(&[direction]).inc_by(drift.unsigned_abs());
        tracing::warn!(?count, drift, "a count of calls was wrong and is right now");
    }
}
