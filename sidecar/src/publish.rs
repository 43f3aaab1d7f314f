//! Puts a configuration in force: stored snapshot → table → image in shared memory, on a thread of its own.
//!
//! The thread owns the one right to publish, builds off the runtime, and shows every second that it is alive. Must never
//! publish what was not stored before: after a restart the store alone says what is in force.

mod table;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use trunk_admission::live::Live;
use trunk_admission::publish::{PublishError, PublishOptions, Published, Publisher};

use crate::clock::Clock;
use crate::store::Snapshot;

pub use table::TableError;

/// How often readers are told that the publisher is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Where the image goes and how much fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory in shared memory.
    pub dir: PathBuf,
    /// Group that may read; `None` leaves our own.
    pub group: Option<u32>,
    /// Room for things.
    pub capacity: Capacity,
}

/// How many of each thing there is room for: `[shm]` trunks, accounts and gateways. Must equal the module's parameters
/// of these names, since both sides find a thing by its index; its slots and ring are the module's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub struct Capacity {
    pub trunks: u32,
    pub accounts: u32,
    pub gateways: u32,
}

/// Why a snapshot is not in force. What was in force still is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It makes no table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The image could not be built, written or read back.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The publisher's thread has ended.
    #[error("the publisher has stopped")]
    Stopped,
}

struct Job {
    snapshot: Arc<Snapshot>,
    done: oneshot::Sender<Result<Published, Error>>,
}

/// Hands snapshots to the publisher's thread, which ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
}

impl Handle {
    /// Takes the right to publish and starts the thread.
    ///
    /// # Errors
    /// If the directory cannot be used, or another trunkd publishes there.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Handle, Error> {
        let publisher = Publisher::open(&settings.dir, PublishOptions { group: settings.group })?;
        let (jobs, queue) = mpsc::channel();
        let worker = Worker { publisher, settings, clock, live: None };
        thread::Builder::new()
            .name("trunkd-publish".into())
            .spawn(move || worker.run(&queue))
            .map_err(|_| Error::Stopped)?;
        Ok(Handle { jobs })
    }

    /// Puts a snapshot in force. When this answers, the next call is judged by it.
    pub async fn publish(&self, snapshot: Arc<Snapshot>) -> Result<Published, Error> {
        let (done, answered) = oneshot::channel();
        self.jobs.send(Job { snapshot, done }).map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }
}

struct Worker {
    publisher: Publisher,
    settings: Settings,
    clock: Arc<dyn Clock>,
    live: Option<Live>,
}

impl Worker {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        loop {
            self.publisher.heartbeat(u64::try_from(self.clock.now_ms()).unwrap_or(0));
            match queue.recv_timeout(HEARTBEAT) {
                Ok(job) => {
                    // Whoever asked may be gone; what is published is in force all the same.
                    let _ = job.done.send(self.publish(&job.snapshot));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn publish(&mut self, snapshot: &Snapshot) -> Result<Published, Error> {
        let table = table::build(snapshot, self.settings.capacity)?;
        self.attach_live();
        Ok(self.publisher.publish(&table, self.live.as_ref())?)
    }

    /// Rate limits keep their debts in `live`, which Kamailio makes when it starts and may make anew.
    fn attach_live(&mut self) {
        let dir = &self.settings.dir;
        if !self.live.as_ref().is_some_and(|live| live.is_current(dir)) {
            self.live = Live::attach(dir).ok();
        }
    }
}
