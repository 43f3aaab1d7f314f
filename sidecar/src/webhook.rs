//! Delivers events: one worker for each endpoint that has work, so that no endpoint ever waits for another.
//!
//! The outbox is the truth and lives in the store; nothing here is needed to survive a kill. An attempt that was cut is
//! made again with the same id. Must never hold more of a backlog in memory than is under way.

pub mod attempt;
pub mod breaker;
pub mod client;
mod crew;
pub mod guard;
pub mod message;
pub mod probe;
mod recorder;
pub mod resolver;
pub mod retry;
pub mod sign;
mod wakes;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::Outbox;
use crew::Crew;
pub use guard::{MAX_URL_BYTES, UrlRules};
use recorder::Recorder;
pub use wakes::Wakes;

/// Attempts under way at once to endpoints that failed last, of all together: their sockets must not be everybody's.
pub const TRIALS: usize = 256;

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
    /// Who is asked for addresses; those of `/etc/resolv.conf` if there are none.
    pub dns_servers: Vec<SocketAddr>,
    /// What may be sent to.
    pub url: UrlRules,
}

/// What the workers need.
pub(crate) struct Deps {
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) settings: watch::Receiver<Settings>,
    /// Turns of endpoints that failed last.
    pub(crate) trials: Arc<Semaphore>,
}

/// Starts and watches the workers.
pub struct Dispatcher {
    settings: watch::Receiver<Settings>,
    transport: Arc<dyn client::Transport>,
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    wakes: Wakes,
}

impl Dispatcher {
    /// A dispatcher over a store's outbox. `settings` may change while it runs.
    pub fn new(
        settings: watch::Receiver<Settings>,
        transport: Arc<dyn client::Transport>,
        outbox: Arc<dyn Outbox>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        wakes: Wakes,
    ) -> Dispatcher {
        Dispatcher { settings, transport, outbox, clock, metrics, wakes }
    }

    /// Delivers until `stop`, then waits for the attempts under way.
    pub async fn run(self, stop: CancellationToken) {
        let Dispatcher { settings, transport, outbox, clock, metrics, wakes } = self;
        let recorder = Recorder::start(Arc::clone(&outbox), metrics.clone(), stop.clone());
        let trials = Arc::new(Semaphore::new(TRIALS));
        let deps = Deps { outbox, recorder, clock, metrics, settings, trials };
        Crew::new(deps, transport, wakes).run(stop).await;
    }
}
