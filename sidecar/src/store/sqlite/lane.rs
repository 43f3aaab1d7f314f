//! A thread with a connection of its own, and the jobs it is sent, each of which is one transaction.
//!
//! The async side only sends closures and awaits; no statement ever runs on a runtime thread.

use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::store::{Answer, StoreError};

/// Jobs that may wait for one thread; whoever sends one more waits.
const MAX_QUEUED_JOBS: usize = 256;

enum Job {
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
    Close(Box<dyn FnOnce(&Connection) + Send>, oneshot::Sender<()>),
}

/// Sends jobs to the thread, which ends when this is dropped or closed.
#[derive(Debug)]
pub(super) struct Lane {
    jobs: mpsc::Sender<Job>,
    writes: bool,
}

impl Lane {
    /// Starts the thread. Only one that `writes` takes the database's lock.
    pub(super) fn start(name: &str, connection: Connection, writes: bool) -> Result<Lane, StoreError> {
        let (jobs, queue) = mpsc::channel(MAX_QUEUED_JOBS);
        let spawned = thread::Builder::new().name(name.into()).spawn(move || work(connection, queue));
        spawned.map_err(|error| StoreError::Io(format!("starting the thread {name}: {error}")))?;
        Ok(Lane { jobs, writes })
    }

    /// Runs `job` as one transaction. Whoever stops waiting does not stop the job.
    pub(super) fn run<'a, T, F>(&'a self, job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let immediate = TransactionBehavior::Immediate;
        let behavior = if self.writes { immediate } else { TransactionBehavior::Deferred };
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

    /// Finishes what was sent before, does `last`, and ends the thread and its connection.
    pub(super) async fn close(
        &self,
        last: impl FnOnce(&Connection) + Send + 'static,
    ) -> Result<(), StoreError> {
        let (done, closed) = oneshot::channel();
        self.jobs.send(Job::Close(Box::new(last), done)).await.map_err(|_| StoreError::Closed)?;
        closed.await.map_err(|_| StoreError::Closed)
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
            Job::Close(last, done) => {
                last(&connection);
                drop(connection);
                let _ = done.send(());
                return;
            }
        }
    }
}
