//! How the store is, as far as the configuration goes: an alarm from the first failure on, until something was written.
//!
//! A read that works proves little: a full disk can be read. While there is trouble a trial write is made every few seconds,
//! so that the alarm ends by itself when nobody writes anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::status::Status;
use crate::store::{Store, StoreError};

/// How often a write is tried while the store is in trouble.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The alarm.
pub(super) struct Trouble {
    metrics: Metrics,
    status: Arc<Status>,
    is_there: watch::Sender<bool>,
}

impl Trouble {
    pub(super) fn new(metrics: Metrics, status: Arc<Status>) -> Trouble {
        Trouble { metrics, status, is_there: watch::Sender::new(false) }
    }

    /// Passes on what came of a read.
    pub(super) fn of_read<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && error.is_trouble()
        {
            self.metrics.store_errors.with_label_values(&["configuration"]).inc();
            self.status.update(|state| state.configuration_error = Some(error.to_string()));
            self.is_there.send_replace(true);
        }
        result
    }

    /// Passes on what came of a write. One that was refused for what it said reached the store, but not the disk.
    pub(super) fn of_write<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_ok() && self.is_there.send_replace(false) {
            self.status.update(|state| state.configuration_error = None);
            tracing::info!("the store can be written again");
        }
        self.of_read(result)
    }

    /// Tries to write while there is trouble, until `stop`.
    pub(super) async fn watch(&self, store: &dyn Store, stop: CancellationToken) {
        let mut is_there = self.is_there.subscribe();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = is_there.wait_for(|is_there| *is_there) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TRY_AGAIN) => {}
            }
            // What is wrong was told when it was noticed, and counts once.
            if *is_there.borrow() && store.try_write().await.is_ok() {
                let _ = self.of_write(Ok(()));
            }
        }
    }
}
