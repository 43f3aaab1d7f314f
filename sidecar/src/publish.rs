//! Puts a configuration in force: stored revisions → changes of the table → image in shared memory, on a thread of its own.
//!
//! The thread owns the one right to publish, builds off the runtime, and shows every second that it is alive. Must never
//! publish what was not stored before: after a restart the store alone says what is in force.

mod worker;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::oneshot;
use trunk_admission::model::Table;
use trunk_admission::publish::{Change, PublishError, PublishOptions, Published, Publisher};

use crate::clock::Clock;
use crate::status::Status;
use crate::store::Reused;
use worker::{Job, Worker};

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

/// Why a configuration is not in force. What was in force still is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image could not be built, written or read back.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The publisher's thread has ended.
    #[error("the publisher has stopped")]
    Stopped,
}

/// Hands configurations to the publisher's thread, which ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
}

impl Handle {
    /// Takes the right to publish and starts the thread. `status` is told of what is in force, and where.
    ///
    /// # Errors
    /// If the directory cannot be used, or another trunkd publishes there.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>, status: Arc<Status>) -> Result<Handle, Error> {
        let publisher = Publisher::open(&settings.dir, PublishOptions { group: settings.group })?;
        let (jobs, queue) = mpsc::channel();
        let worker = Worker::new(publisher, settings.dir, clock, status);
        thread::Builder::new()
            .name("trunkd-publish".into())
            .spawn(move || worker.run(&queue))
            .map_err(|_| Error::Stopped)?;
        Ok(Handle { jobs })
    }

    /// Puts a whole configuration in force. When this answers, the next call is judged by it.
    pub async fn publish(&self, table: Table) -> Result<Published, Error> {
        self.ask(|done| Job::Whole { table, done }).await
    }

    /// Puts changes in force, all or none; `revision` is the store's with all of them in it. Its cost grows with what
    /// changed, not with the table. A whole configuration must have come before.
    pub async fn apply(
        &self,
        revision: i64,
        effects: Vec<Change>,
        reused: Vec<Reused>,
    ) -> Result<Published, Error> {
        self.ask(|done| Job::Changes { revision, effects, reused, done }).await
    }

    async fn ask(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<Published, Error>>) -> Job,
    ) -> Result<Published, Error> {
        let (done, answered) = oneshot::channel();
        self.jobs.send(job(done)).map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }
}
