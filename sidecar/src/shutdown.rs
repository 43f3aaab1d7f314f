//! The signals of the process as one stream of wishes, and the end of all tasks.
//!
//! One token and one tracker are made by the command line and handed down; nothing here is global.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What somebody wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: finish and go.
    Stop,
}

/// The signals that are listened to.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Kept and never asked: a file that may not grow is an error of the write, as a full disk is, and not the end.
    _file_limit: Signal,
}

impl Signals {
    /// Starts listening. From here on SIGHUP and SIGXFSZ do not kill.
    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_limit: signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?,
        })
    }

    /// The next wish.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
        }
    }
}

/// Spawns a task that is to run until the stop. One that ends before stops everything: half a daemon is worse than none.
pub fn spawn(
    tracker: &TaskTracker,
    stop: &CancellationToken,
    failed: &CancellationToken,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let (stop, failed) = (stop.clone(), failed.clone());
    let handle = tokio::spawn(task);
    tracker.spawn(async move {
        let result = handle.await;
        if result.is_err() || !stop.is_cancelled() {
            tracing::error!(task = name, panicked = result.is_err(), "a task ended too early; stopping");
            failed.cancel();
            stop.cancel();
        }
    });
}

/// Waits for all tasks, at most `grace`. Whether all ended.
pub async fn drain(tracker: &TaskTracker, grace: Duration) -> bool {
    tracker.close();
    let drained = timeout(grace, tracker.wait()).await.is_ok();
    if !drained {
        tracing::warn!(?grace, left = tracker.len(), "not all tasks ended in time");
    }
    drained
}
