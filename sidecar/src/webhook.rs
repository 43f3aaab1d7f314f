//! Delivers events: one worker for each endpoint that has work, so that no endpoint ever waits for another.
//!
//! The outbox is the truth and lives in the store; nothing here is needed to survive a kill. An attempt that was cut is
//! made again with the same id. Must never hold more of a backlog in memory than is under way.

pub mod attempt;
pub mod client;
pub mod guard;
pub mod resolver;
pub mod retry;
pub mod sign;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::{EndpointId, Store};
pub use guard::{MAX_URL_BYTES, UrlRules};

/// How often the store is asked who has work, in case a wake-up was lost to a failing store.
const RESCAN: Duration = Duration::from_secs(60);
/// How soon again after the store failed.
const RESCAN_AFTER_ERROR: Duration = Duration::from_secs(1);

/// How events are delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Waits between attempts.
    pub schedule: retry::Schedule,
    /// Name look-up, TCP and TLS.
    pub connect_timeout: Duration,
    /// The whole attempt.
    pub attempt_timeout: Duration,
    /// Attempts under way at once for one endpoint.
    pub endpoint_concurrency: usize,
    /// What may be sent to.
    pub url: UrlRules,
}

/// What the workers need.
pub(crate) struct Deps {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) settings: watch::Receiver<Settings>,
}

/// Tells the dispatcher who has something new. Cheap, never blocks, bounded by the number of endpoints.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<WakeState>);

#[derive(Debug, Default)]
struct WakeState {
    endpoints: Mutex<BTreeSet<EndpointId>>,
    rescan: Mutex<bool>,
    notify: Notify,
}

impl Wakes {
    /// These endpoints have something new to be sent.
    pub fn wake(&self, endpoints: &[EndpointId]) {
        if !endpoints.is_empty() {
            self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner).extend(endpoints);
            self.0.notify.notify_one();
        }
    }

    /// Anything may have changed: ask the store.
    pub fn rescan(&self) {
        *self.0.rescan.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.notify.notify_one();
    }

    /// What came since the last time: endpoints, and whether to ask the store.
    fn take(&self) -> (BTreeSet<EndpointId>, bool) {
        let endpoints = std::mem::take(&mut *self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner));
        let rescan = std::mem::take(&mut *self.0.rescan.lock().unwrap_or_else(PoisonError::into_inner));
        (endpoints, rescan)
    }
}

/// Wakes one worker, and counts how often, so that a worker that is just leaving is started again.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: AtomicU64,
    pub(crate) notify: Notify,
}

impl Bell {
    fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Release);
        self.notify.notify_one();
    }

    pub(crate) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Acquire)
    }
}

/// Starts and watches the workers.
pub struct Dispatcher {
    deps: Arc<Deps>,
    transport: Arc<dyn client::Transport>,
    wakes: Wakes,
    bells: HashMap<EndpointId, Arc<Bell>>,
    workers: JoinSet<u64>,
    running: HashMap<Id, EndpointId>,
}

impl Dispatcher {
    /// A dispatcher over a store. `settings` may change while it runs.
    pub fn new(
        settings: watch::Receiver<Settings>,
        transport: Arc<dyn client::Transport>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        wakes: Wakes,
    ) -> Dispatcher {
        let deps = Arc::new(Deps { store, clock, metrics, settings });
        Dispatcher {
            deps,
            transport,
            wakes,
            bells: HashMap::new(),
            workers: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// Delivers until `stop`, then waits for the attempts under way.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut wait = self.rescan(&stop).await;
        loop {
            let wakes = Arc::clone(&self.wakes.0);
            tokio::select! {
                () = stop.cancelled() => break,
                () = wakes.notify.notified() => {
                    let (endpoints, rescan) = self.wakes.take();
                    for endpoint in endpoints {
                        self.wake(endpoint, &stop);
                    }
                    if rescan {
                        wait = self.rescan(&stop).await;
                    }
                }
                Some(ended) = self.workers.join_next_with_id() => self.ended(ended, &stop),
                () = tokio::time::sleep(wait) => wait = self.rescan(&stop).await,
            }
        }
        while self.workers.join_next().await.is_some() {}
    }

    async fn rescan(&mut self, stop: &CancellationToken) -> Duration {
        match self.deps.store.endpoints_with_work().await {
            Ok(endpoints) => {
                endpoints.into_iter().for_each(|endpoint| self.wake(endpoint, stop));
                RESCAN
            }
            Err(error) => {
                self.deps.metrics.store_errors.with_label_values(&["outbox"]).inc();
                tracing::error!(%error, "cannot see which endpoints have work");
                RESCAN_AFTER_ERROR
            }
        }
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
        let worker = worker::Worker::new(endpoint, Arc::clone(&self.deps), Arc::clone(&self.transport), bell);
        let id = self.workers.spawn(worker.run(stop.clone())).id();
        self.running.insert(id, endpoint);
    }

    /// A worker left because nothing was to be done; if the bell rang after it had looked, it comes back.
    fn ended(&mut self, ended: Result<(Id, u64), JoinError>, stop: &CancellationToken) {
        let (id, seen) = match ended {
            Ok((id, seen)) => (id, Some(seen)),
            Err(error) => {
                tracing::error!(%error, "a webhook worker died; its endpoint is looked at again with the next rescan");
                (error.id(), None)
            }
        };
        let Some(endpoint) = self.running.remove(&id) else { return };
        let Some(bell) = self.bells.remove(&endpoint) else { return };
        if seen.is_some_and(|seen| seen != bell.rings()) {
            self.bells.insert(endpoint, Arc::clone(&bell));
            self.start(endpoint, bell, stop);
        }
    }
}
