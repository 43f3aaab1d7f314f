//! One worker for each endpoint that has work: started when somebody wakes it, missed when it dies, woken when the clock was
//! set.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Deps;
use super::client::Transport;
use super::wakes::{Bell, Wakes};
use super::worker::Worker;
use crate::clock::APART_MS;
use crate::domain::Millis;
use crate::store::{EndpointId, StoreError};

/// How often the store is asked who has work, in case a wake-up was lost.
const RESCAN: Duration = Duration::from_secs(300);
/// How soon again after the store failed or a worker died.
const RESCAN_AFTER_ERROR: Duration = Duration::from_secs(1);
/// How often it is looked whether the clock was set.
const CLOCKS: Duration = Duration::from_secs(1);

/// The workers, and who has one.
pub(super) struct Crew {
    deps: Arc<Deps>,
    transport: Arc<dyn Transport>,
    wakes: Wakes,
    bells: HashMap<EndpointId, Arc<Bell>>,
    workers: JoinSet<u64>,
    running: HashMap<Id, EndpointId>,
    /// Timer and wall clock, read together.
    clocks: Option<(Instant, Millis)>,
}

impl Crew {
    pub(super) fn new(deps: Deps, transport: Arc<dyn Transport>, wakes: Wakes) -> Crew {
        let (bells, workers, running) = (HashMap::new(), JoinSet::new(), HashMap::new());
        Crew { deps: Arc::new(deps), transport, wakes, bells, workers, running, clocks: None }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut look_at = self.rescan(false, &stop).await;
        let mut clocks_at = Instant::now() + CLOCKS;
        loop {
            let wakes = self.wakes.clone();
            tokio::select! {
                () = stop.cancelled() => break,
                () = wakes.notified() => {
                    let woken = self.wakes.take();
                    let changed = match self.endpoints_of(woken.trunks).await {
                        Some(changed) => changed,
                        None => {
                            look_at = Instant::now() + RESCAN_AFTER_ERROR;
                            Vec::new()
                        }
                    };
                    for endpoint in woken.endpoints.into_iter().chain(changed) {
                        self.wake(endpoint, &stop);
                    }
                    if woken.rescan {
                        look_at = self.rescan(true, &stop).await;
                    }
                }
                Some(ended) = self.workers.join_next_with_id() => {
                    if self.ended(ended, &stop).is_err() {
                        look_at = Instant::now() + RESCAN_AFTER_ERROR;
                    }
                }
                () = tokio::time::sleep_until(clocks_at) => {
                    clocks_at = Instant::now() + CLOCKS;
                    if self.was_set_by(self.clocks_now()).is_some() {
                        look_at = self.rescan(false, &stop).await;
                    }
                }
                () = tokio::time::sleep_until(look_at) => {
                    look_at = self.rescan(false, &stop).await;
                    // What was put back for this look.
                    wakes.nudge();
                }
            }
        }
        while self.workers.join_next().await.is_some() {}
    }

    /// The endpoints of trunks; `None` if the store cannot say: then they wait for the next look.
    async fn endpoints_of(&mut self, trunks: BTreeSet<String>) -> Option<Vec<EndpointId>> {
        if trunks.is_empty() {
            return Some(Vec::new());
        }
        match self.deps.outbox.endpoints_of(trunks.iter().cloned().collect()).await {
            Ok(endpoints) => Some(endpoints),
            Err(error) => {
                tracing::error!(%error, "cannot see whose webhooks have changed");
                self.wakes.put(trunks);
                None
            }
        }
    }

    /// Starts workers that are missing. Those that sleep go on, unless they are to be woken, or the clock was set by which
    /// they sleep. Answers when to look again.
    async fn rescan(&mut self, wake: bool, stop: &CancellationToken) -> Instant {
        let wait = match self.look(wake, stop).await {
            Ok(()) => RESCAN,
            Err(error) => {
                self.deps.metrics.store_errors.with_label_values(&["outbox"]).inc();
                tracing::error!(%error, "cannot see which endpoints have work");
                RESCAN_AFTER_ERROR
            }
        };
        Instant::now() + wait
    }

    /// Timer and wall clock.
    fn clocks_now(&self) -> (Instant, Millis) {
        (Instant::now(), self.deps.clock.now_ms())
    }

    /// How far the wall clock was set since the last look, if it was.
    fn was_set_by(&self, (now, now_ms): (Instant, Millis)) -> Option<Millis> {
        let (then, then_ms) = self.clocks?;
        let passed_ms = Millis::try_from((now - then).as_millis()).unwrap_or(Millis::MAX);
        let step_ms = now_ms - then_ms - passed_ms;
        (step_ms.unsigned_abs() > APART_MS).then_some(step_ms)
    }

    /// Compares the clocks: whether the wall clock was set. If it was set back, what is due is brought along.
    async fn look_at_clocks(&mut self) -> Result<bool, StoreError> {
        let clocks = self.clocks_now();
        let (set_by, now_ms) = (self.was_set_by(clocks), clocks.1);
        // Before the first look the clock may have been anywhere.
        if self.clocks.is_none() || set_by.is_some() {
            let longest = self.deps.settings.borrow().schedule.longest().as_millis();
            let latest_ms = now_ms.saturating_add(Millis::try_from(longest).unwrap_or(Millis::MAX));
            let back_ms = set_by.map_or(0, |step_ms| (-step_ms).max(0));
            self.deps.outbox.pull_in(back_ms, latest_ms).await?;
        }
        if let Some(step_ms) = set_by {
            match step_ms < 0 {
                true => tracing::warn!(step_ms, "the clock was set back; retries keep their distance"),
                false => tracing::warn!(step_ms, "the clock was set ahead; what is due by it is sent now"),
            }
        }
        self.clocks = Some(clocks);
        Ok(set_by.is_some())
    }

    async fn look(&mut self, wake: bool, stop: &CancellationToken) -> Result<(), StoreError> {
        if self.look_at_clocks().await? || wake {
            self.bells.values().for_each(|bell| bell.ring());
        }
        for endpoint in self.deps.outbox.endpoints_with_work().await? {
            if !self.bells.contains_key(&endpoint) {
                self.wake(endpoint, stop);
            }
        }
        Ok(())
    }

    fn wake(&mut self, endpoint: EndpointId, stop: &CancellationToken) {
        if let Some(bell) = self.bells.get(&endpoint) {
            bell.ring();
            return;
        }
        let bell = Arc::new(Bell::default());
        self.bells.insert(endpoint, Arc::clone(&bell));
        self.start(endpoint, bell, stop);
    }

    fn start(&mut self, endpoint: EndpointId, bell: Arc<Bell>, stop: &CancellationToken) {
        let worker = Worker::new(endpoint, Arc::clone(&self.deps), Arc::clone(&self.transport), bell);
        let id = self.workers.spawn(worker.run(stop.clone())).id();
        self.running.insert(id, endpoint);
    }

    /// A worker left because nothing was to be done; if the bell rang after it had looked, it comes back.
    fn ended(
        &mut self,
        ended: Result<(Id, u64), JoinError>,
        stop: &CancellationToken,
    ) -> Result<(), JoinError> {
        let (id, seen) = match ended {
            Ok((id, seen)) => (id, seen),
            Err(error) => {
                tracing::error!(%error, "a webhook worker died; its endpoint gets another");
                self.running.remove(&error.id()).and_then(|endpoint| self.bells.remove(&endpoint));
                return Err(error);
            }
        };
        let Some(endpoint) = self.running.remove(&id) else { return Ok(()) };
        let Some(bell) = self.bells.remove(&endpoint) else { return Ok(()) };
        if seen != bell.rings() {
            self.bells.insert(endpoint, Arc::clone(&bell));
            self.start(endpoint, bell, stop);
        }
        Ok(())
    }
}
