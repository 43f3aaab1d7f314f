//! The one writer: API, files and SIGHUP change the configuration through here and nowhere else.
//!
//! ```text
//! begin (wait for the turn) ▶ read what is there ▶ decide ▶ commit: one transaction, one revision ▶ publishing
//! ```
//! One at a time: whoever holds a [`Session`] sees what nobody changes meanwhile. Whoever stops waiting for a commit does
//! not stop it. Must never tell of a write that is not on the disk, nor publish one before that.

mod publishing;
mod session;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::crash;
use crate::difference::Line;
use crate::domain::Stamp;
use crate::kamailio::preflight::Limits;
use crate::metrics::Metrics;
use crate::publish::{Capacity, Handle};
use crate::status::Status;
use crate::store::{Committed, Store, StoreError};
use trouble::Trouble;

pub use crate::store::{Change, Write};
pub use publishing::{Error as PublishingError, PUBLISH_AGAIN, Publishing};
pub use session::Session;

/// What the writer needs.
pub struct Deps {
    /// Keeps the configuration.
    pub store: Arc<dyn Store>,
    /// Puts it in force.
    pub publish: Handle,
    /// How many things have room in shared memory.
    pub capacity: Capacity,
    /// What Kamailio can hold.
    pub kamailio: Limits,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: Metrics,
    /// What `/readyz` shows.
    pub status: Arc<Status>,
}

/// Makes the writer, and the task that publishes what it writes.
pub fn new(deps: Deps) -> (Writer, Publishing) {
    let (queue, committed) = mpsc::unbounded_channel();
    let (tell, progress) = watch::channel(Progress::default());
    let (stored, _) = watch::channel(0);
    let shared = Shared {
        store: Arc::clone(&deps.store),
        capacity: deps.capacity,
        kamailio: deps.kamailio,
        clock: Arc::clone(&deps.clock),
        trouble: Trouble::new(deps.metrics.clone(), Arc::clone(&deps.status)),
        status: Arc::clone(&deps.status),
        queue,
        progress,
        stored,
    };
    let publishing = Publishing::new(deps, committed, tell);
    let (turn, shared) = (Arc::new(Mutex::new(())), Arc::new(shared));
    (Writer { turn, shared }, publishing)
}

/// How far publishing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The revision in force; 0 before the first.
    pub published: i64,
    /// The newest revision that could not be published, and why; gone when it is.
    pub failed: Option<(i64, String)>,
}

/// The only way the configuration changes.
#[derive(Clone)]
pub struct Writer {
    turn: Arc<Mutex<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    capacity: Capacity,
    kamailio: Limits,
    clock: Arc<dyn Clock>,
    trouble: Trouble,
    status: Arc<Status>,
    queue: mpsc::UnboundedSender<Committed>,
    progress: watch::Receiver<Progress>,
    stored: watch::Sender<i64>,
}

/// What a commit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The revision of this write.
    pub revision: i64,
    /// What changed, one line for each object that did.
    pub lines: Vec<Line>,
}

/// Why a revision is not known to be in force. It is stored, and will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// Publishing failed; it is tried again.
    #[error("stored, but publishing fails: {0}")]
    Failed(String),
    /// The time was up.
    #[error("stored, but not yet in force")]
    Late,
}

impl Writer {
    /// Waits for the turn, and keeps it until the session is dropped or has committed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn begin(&self) -> Result<Session, StoreError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let base = self.shared.trouble.of_read(self.shared.store.revision().await)?;
        let stamp = Stamp::new(self.shared.clock.now_ms(), base + 1);
        crash::point("write.begun");
        Ok(Session::new(turn, Arc::clone(&self.shared), base, stamp))
    }

    /// Waits until this revision is in force: from then on every call is judged by it.
    ///
    /// # Errors
    /// As soon as an attempt to publish it has failed, or when the time is up.
    pub async fn applied(&self, revision: i64, within: Duration) -> Result<(), NotApplied> {
        let mut progress = self.shared.progress.clone();
        let settled = |progress: &Progress| {
            progress.published >= revision
                || progress.failed.as_ref().is_some_and(|(tried, _)| *tried >= revision)
        };
        match tokio::time::timeout(within, progress.wait_for(settled)).await {
            Ok(Ok(progress)) if progress.published >= revision => Ok(()),
            Ok(Ok(progress)) => Err(NotApplied::Failed(
                progress.failed.as_ref().map(|(_, error)| error.clone()).unwrap_or_default(),
            )),
            // The publishing task is gone: the daemon stops.
            Ok(Err(_)) | Err(_) => Err(NotApplied::Late),
        }
    }

    /// Waits until this revision is in force, however long it takes.
    pub async fn caught_up(&self, revision: i64) {
        let mut progress = self.shared.progress.clone();
        if progress.wait_for(|progress| progress.published >= revision).await.is_err() {
            std::future::pending().await
        }
    }

    /// Moves with every revision that is stored.
    pub fn stored(&self) -> watch::Receiver<i64> {
        self.shared.stored.subscribe()
    }

    /// Ends the alarm about the store when it works again, until `stop`.
    pub async fn watch_store(self, stop: CancellationToken) {
        self.shared.trouble.watch(&*self.shared.store, stop).await;
    }

    /// How far publishing is.
    pub fn progress(&self) -> Progress {
        self.shared.progress.borrow().clone()
    }
}
