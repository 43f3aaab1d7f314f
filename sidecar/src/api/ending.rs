//! The end of a deleted trunk's calls: asked of Kamailio once no new ones come, and again until none is left.
//!
//! A call that still rings cannot be sent a BYE: it is ended as soon as it is answered, if it is not over before. Must never
//! touch a call of another trunk that was given the same place in memory: calls are known by their own ids.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use trunk_admission::Now;
use trunk_admission::live::{Live, SlotState, SlotView};

use super::Api;
use super::turn::MAX_WAIT;
use crate::kamailio::rpc::Client;

/// How often the calls are looked at.
const EVERY: Duration = Duration::from_millis(200);
/// A call that was answered less than this ago is left for the next look: Kamailio may still be busy with the answer, and a
/// dialog that it does not take for confirmed yet loses its callbacks to the attempt to end it, and goes on without them
/// (`dlg_bye_all` in modules/dialog/dlg_req_within.c runs them before it looks at the state).
const SETTLED_MS: u64 = 1_000;
/// After this a call is left to itself: nothing rings for so long.
const PATIENCE: Duration = Duration::from_secs(300);

impl Api {
    /// Ends the calls of a trunk that is no more, once `revision` is in force. Answers when Kamailio was told of all that
    /// are up; the rest goes on by itself.
    pub(super) async fn end_calls(&self, client: Arc<Client>, trunk: u32, revision: i64) {
        let (told, all_told) = oneshot::channel();
        let api = self.clone();
        self.tracker.spawn(async move {
            let stop = api.stop.clone();
            stop.run_until_cancelled(api.end(&client, trunk, revision, told)).await;
        });
        // Whoever waits no longer does not keep calls from being ended.
        let _ = timeout(MAX_WAIT, all_told).await;
    }

    async fn end(&self, client: &Client, trunk: u32, revision: i64, told: oneshot::Sender<()>) {
        self.writer.caught_up(revision).await;
        let begun = Instant::now();
        let calls: HashSet<[u8; 16]> =
            self.slots(|slot| slot.trunk_live == trunk).map(|slot| slot.uid).collect();
        let mut told = Some(told);
        while begun.elapsed() < PATIENCE {
            let left: Vec<SlotView> = self.slots(|slot| calls.contains(&slot.uid)).collect();
            if left.is_empty() {
                break;
            }
            let answered = left.iter().filter(|slot| slot.state == SlotState::Answered);
            let now = Now::read();
            let settled =
                |slot: &&SlotView| slot.clock.at(now).saturating_sub(slot.answer_wall_ms) >= SETTLED_MS;
            let (ripe, fresh): (Vec<&SlotView>, Vec<&SlotView>) = answered.partition(settled);
            for slot in ripe {
                let (entry, id) = slot.dialog;
                if let Err(error) = client.end_dialog(entry, id).await {
                    // It may be over by now; if not, the next round says so again.
                    tracing::debug!(%error, "ending a call of a deleted trunk");
                }
            }
            if fresh.is_empty() {
                told.take();
            }
            sleep(EVERY).await;
        }
    }

    fn slots(&self, which: impl Fn(&SlotView) -> bool) -> impl Iterator<Item = SlotView> {
        let slots = self.live(Live::slots_in_use).unwrap_or_default();
        slots.into_iter().filter(move |slot| which(slot))
    }
}
