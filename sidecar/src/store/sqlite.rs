//! The store in one SQLite file: a thread that owns the connection, and the jobs it is sent.
//!
//! WAL with `synchronous=FULL`: what is answered is on the disk. The async side only sends closures and awaits; no
//! statement ever runs on a runtime thread. One writer, so no transaction of ours ever meets another of ours.

mod calls;
mod changes;
mod configuration;
mod ingest;
mod live_index;
mod outbox;
mod schema;
mod text;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{
    Answer, AttemptRecord, Backlog, Batch, Due, EndpointId, Orphan, Snapshot, Store, StoreError, Written,
};
use crate::difference::Plan;
use crate::domain::Millis;
use crate::publish::Capacity;

/// Jobs that may wait for the thread; whoever sends one more waits.
const MAX_QUEUED_JOBS: usize = 256;
/// How long to wait for another process that has the file locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept prepared.
const STATEMENT_CACHE: usize = 64;

enum Job {
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
    Close(oneshot::Sender<()>),
}

/// The store. Dropping it, or closing it, ends its thread.
#[derive(Debug)]
pub struct SqliteStore {
    jobs: mpsc::Sender<Job>,
}

impl SqliteStore {
    /// Opens or makes the database and brings its schema up to date. Blocks.
    ///
    /// # Errors
    /// If the file cannot be opened or locked, is damaged, or was made by a newer trunkd.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        // Made here first, because SQLite would make it readable for everybody; it holds digest hashes.
        let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        made.map_err(|error| StoreError::Other(format!("{}: {error}", path.display())))?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        schema::migrate(&mut connection)?;

        let (jobs, queue) = mpsc::channel(MAX_QUEUED_JOBS);
        let spawned =
            thread::Builder::new().name("trunkd-store".into()).spawn(move || work(connection, queue));
        spawned.map_err(|error| StoreError::Other(format!("starting the store's thread: {error}")))?;
        Ok(SqliteStore { jobs })
    }

    /// Runs `job` as one transaction on the store's thread.
    fn run<'a, T, F>(&'a self, job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(TransactionBehavior::Immediate, job)
    }

    /// As [`SqliteStore::run`], for a job that only reads: it takes no lock that a writer could wait for.
    fn read<'a, T, F>(&'a self, job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(TransactionBehavior::Deferred, job)
    }

    fn send<'a, T, F>(&'a self, behavior: TransactionBehavior, job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let run = move |connection: &mut Connection| {
                // Nobody waits any more if the receiver is gone; the work was done or not done all the same.
                let _ = answer.send(transact(connection, behavior, job));
            };
            self.jobs.send(Job::Run(Box::new(run))).await.map_err(|_| StoreError::Closed)?;
            answered.await.map_err(|_| StoreError::Closed)?
        })
    }
}

fn transact<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    let value = job(&transaction)?; // dropping a transaction rolls it back
    transaction.commit()?;
    Ok(value)
}

fn work(mut connection: Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.blocking_recv() {
        match job {
            Job::Run(run) => run(&mut connection),
            Job::Close(done) => {
                drop(connection);
                let _ = done.send(());
                return;
            }
        }
    }
}

impl Store for SqliteStore {
    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.read(configuration::snapshot)
    }

    fn apply(&self, base: i64, plan: Plan, capacity: Capacity, now_ms: Millis) -> Answer<'_, i64> {
        self.run(move |db| changes::apply(db, base, &plan, capacity, now_ms))
    }

    fn ring_position(&self, ring_id: u64) -> Answer<'_, Option<u64>> {
        self.read(move |db| ingest::ring_position(db, ring_id))
    }

    fn ingest(&self, batch: Batch, now_ms: Millis) -> Answer<'_, Written> {
        self.run(move |db| ingest::ingest(db, &batch, now_ms))
    }

    fn open_calls(&self, before_ms: Millis) -> Answer<'_, Vec<Uuid>> {
        self.read(move |db| calls::open(db, before_ms))
    }

    fn reconcile(&self, orphans: Vec<Orphan>, now_ms: Millis) -> Answer<'_, Written> {
        self.run(move |db| ingest::reconcile(db, &orphans, now_ms))
    }

    fn endpoints_with_work(&self) -> Answer<'_, Vec<EndpointId>> {
        self.read(outbox::endpoints_with_work)
    }

    fn due(&self, endpoint: EndpointId, now_ms: Millis, limit: usize) -> Answer<'_, Option<Due>> {
        self.read(move |db| outbox::due(db, endpoint, now_ms, limit))
    }

    fn record(&self, attempt: AttemptRecord) -> Answer<'_, ()> {
        self.run(move |db| outbox::record(db, &attempt))
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        self.read(outbox::backlog)
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let (done, closed) = oneshot::channel();
            self.jobs.send(Job::Close(done)).await.map_err(|_| StoreError::Closed)?;
            closed.await.map_err(|_| StoreError::Closed)
        })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Damaged(error.to_string())
            }
            _ => StoreError::Other(error.to_string()),
        }
    }
}
