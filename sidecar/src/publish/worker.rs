//! The publisher's thread: one job after another, a heartbeat between them, folds beside them.
//!
//! Must never wait for anything but its queue: a fold has a thread of its own.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use trunk_admission::live::{Live, Scope};
use trunk_admission::model::Table;
use trunk_admission::publish::{Change, Folded, PublishError, Published, Publisher};

use super::Error;
use crate::clock::Clock;
use crate::live::LiveFile;
use crate::status::{Status, Worker as KamailioWorker};
use crate::store::{PlaceKind, Reused};

/// How often readers are told that the publisher is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What the thread is asked to do.
pub(super) enum Job {
    /// Publish all of this.
    Whole {
        /// The configuration.
        table: Table,
        /// Who asked.
        done: oneshot::Sender<Result<Published, Error>>,
    },
    /// Publish these changes.
    Changes {
        /// The revision that has them all in it.
        revision: i64,
        /// In order.
        effects: Vec<Change>,
        /// Indexes that are another's now.
        reused: Vec<Reused>,
        /// Who asked.
        done: oneshot::Sender<Result<Published, Error>>,
    },
}

pub(super) struct Worker {
    publisher: Publisher,
    clock: Arc<dyn Clock>,
    status: Arc<Status>,
    live: LiveFile,
    /// The revision in force, if this process put it there.
    revision: Option<i64>,
    fold: Option<JoinHandle<Result<Folded, PublishError>>>,
}

impl Worker {
    pub(super) fn new(
        publisher: Publisher,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
        status: Arc<Status>,
    ) -> Worker {
        let live = LiveFile::new(dir);
        Worker { publisher, clock, status, live, revision: None, fold: None }
    }

    pub(super) fn run(mut self, queue: &mpsc::Receiver<Job>) {
        loop {
            self.publisher.heartbeat(u64::try_from(self.clock.now_ms()).unwrap_or(0));
            self.look_at_workers();
            match queue.recv_timeout(HEARTBEAT) {
                Ok(job) => self.work(job),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if self.fold.as_ref().is_some_and(JoinHandle::is_finished) {
                self.finish_fold();
            }
        }
    }

    fn work(&mut self, job: Job) {
        let (revision, published, done) = match job {
            Job::Whole { table, done } => (table.revision.cast_signed(), self.whole(table), done),
            Job::Changes { revision, effects, reused, done } => {
                (revision, self.changes(revision, effects, &reused), done)
            }
        };
        if let Ok(published) = &published {
            self.revision = Some(revision);
            self.tell(published, revision);
            if published.fold_due && self.fold.is_none() {
                self.begin_fold();
            }
        }
        // Whoever asked may be gone; what is published is in force all the same.
        let _ = done.send(published);
    }

    fn whole(&mut self, table: Table) -> Result<Published, Error> {
        Ok(self.publisher.publish_owned(table, self.live.get())?)
    }

    fn changes(
        &mut self,
        revision: i64,
        effects: Vec<Change>,
        reused: &[Reused],
    ) -> Result<Published, Error> {
        let live = self.live.get();
        if let Some(live) = live {
            clear(live, reused, self.revision);
        }
        Ok(self.publisher.apply(revision.cast_unsigned(), effects, live)?)
    }

    fn tell(&self, published: &Published, revision: i64) {
        self.status.update(|state| {
            state.generation = Some(published.generation);
            state.published_revision = Some(revision);
        });
    }

    fn look_at_workers(&mut self) {
        let workers = self.live.get().map(Live::processes).unwrap_or_default();
        let workers = workers.into_iter().map(|process| KamailioWorker {
            index: process.index,
            pid: process.pid,
            generation: process.generation,
        });
        let workers = workers.collect();
        self.status.update(|state| state.workers = workers);
    }

    fn begin_fold(&mut self) {
        let fold = match self.publisher.begin_fold() {
            Ok(fold) => fold,
            Err(error) => return tracing::error!(%error, "beginning to fold the image"),
        };
        let spawned = thread::Builder::new().name("trunkd-fold".into()).spawn(move || fold.build());
        match spawned {
            Ok(handle) => self.fold = Some(handle),
            Err(error) => {
                self.publisher.abandon_fold();
                tracing::error!(%error, "starting the thread that folds the image");
            }
        }
    }

    /// A fold that failed is begun again by the next publish that finds it due; until then the overlay serves.
    fn finish_fold(&mut self) {
        let Some(handle) = self.fold.take() else { return };
        let finished = match handle.join() {
            Ok(built) => built.and_then(|folded| self.publisher.finish_fold(folded, self.live.get())),
            Err(_) => return self.publisher.abandon_fold(),
        };
        match (finished, self.revision) {
            (Ok(published), Some(revision)) => {
                tracing::debug!(generation = published.generation, "image folded");
                self.tell(&published, revision);
            }
            (Ok(_), None) | (Err(PublishError::Superseded), _) => {}
            (Err(error), _) => {
                self.publisher.abandon_fold();
                tracing::error!(%error, "folding the image");
            }
        }
    }
}

/// Clears the words that a new owner finds at its index: totals and what is left of a rate. Not while calls of the old
/// owner are counted there, nor while the image in force still names it: its calls then end by themselves, and until
/// they do the new owner's limit is too strict, never too generous.
fn clear(live: &Live, reused: &[Reused], in_force: Option<i64>) {
    for Reused { kind, live: index, freed_revision } in reused {
        let gone = in_force.is_some_and(|revision| *freed_revision <= revision);
        let scope = match kind {
            PlaceKind::Account => Scope::Account(*index),
            PlaceKind::Trunk => Scope::Trunk(*index),
            PlaceKind::Gateway => {
                if gone {
                    live.clear_health(*index);
                }
                continue;
            }
        };
        if gone && live.line_view(scope, None, 0).is_some_and(|line| line.calls == 0) {
            live.clear_line(scope);
        }
    }
}
