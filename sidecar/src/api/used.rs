//! When tokens were used last: noted in memory at every request, written down now and then.
//!
//! Must never make a request wait, nor fail one: a time that is lost is a minute too old.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Api;
use crate::domain::Millis;
use crate::store::Store;

/// How often times are written down.
const EVERY: Duration = Duration::from_secs(60);

/// The times that are not written down yet.
#[derive(Debug, Default)]
pub struct Used(Mutex<HashMap<Uuid, Millis>>);

impl Used {
    fn note(&self, token: Uuid, now_ms: Millis) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, now_ms);
    }

    /// Writes times down until `stop`, and once more then.
    pub async fn run(self: Arc<Self>, store: Arc<dyn Store>, stop: CancellationToken) {
        loop {
            let stopped = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none();
            let times = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if !times.is_empty()
                && let Err(error) = store.touch_tokens(times.into_iter().collect()).await
            {
                tracing::warn!(%error, "writing down when tokens were used");
            }
            if stopped {
                return;
            }
        }
    }
}

impl Api {
    /// Notes that a token was used now.
    pub(super) fn used(&self, token: Uuid) {
        self.used.note(token, self.clock.now_ms());
    }
}
