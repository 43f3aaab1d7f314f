//! Who has something new to be sent: told by whoever writes, heard by the deliverer. Cheap, never blocks, and bounded by the
//! number of endpoints. What is lost here is found again in the store.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use crate::store::EndpointId;

/// Tells the dispatcher who has something new. Cheap, never blocks, bounded by the number of endpoints.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<WakeState>);

#[derive(Debug, Default)]
struct WakeState {
    endpoints: Mutex<BTreeSet<EndpointId>>,
    trunks: Mutex<BTreeSet<String>>,
    rescan: Mutex<bool>,
    notify: Notify,
    written: watch::Sender<u64>,
}

impl Wakes {
    /// Moves whenever events were written down, whoever is to be told of them.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.0.written.subscribe()
    }

    /// Events were written down, or put back, and these endpoints have something new to be sent.
    pub fn wake(&self, endpoints: &[EndpointId]) {
        self.0.written.send_modify(|count| *count = count.wrapping_add(1));
        if !endpoints.is_empty() {
            self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner).extend(endpoints);
            self.0.notify.notify_one();
        }
    }

    /// The webhooks of these trunks or applications may have changed.
    pub fn changed(&self, trunks: impl IntoIterator<Item = String>) {
        self.put(trunks);
        self.0.notify.notify_one();
    }

    pub(super) fn put(&self, trunks: impl IntoIterator<Item = String>) {
        self.0.trunks.lock().unwrap_or_else(PoisonError::into_inner).extend(trunks);
    }

    /// Anything may have changed: ask the store.
    pub fn rescan(&self) {
        *self.0.rescan.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.notify.notify_one();
    }

    /// Waits until there is something to be taken.
    pub(super) async fn notified(&self) {
        self.0.notify.notified().await;
    }

    /// Has what was put taken.
    pub(super) fn nudge(&self) {
        self.0.notify.notify_one();
    }

    /// What came since the last time.
    pub(super) fn take(&self) -> Woken {
        fn out<T: Default>(of: &Mutex<T>) -> T {
            std::mem::take(&mut *of.lock().unwrap_or_else(PoisonError::into_inner))
        }
        Woken { endpoints: out(&self.0.endpoints), trunks: out(&self.0.trunks), rescan: out(&self.0.rescan) }
    }
}

/// Who is to be woken.
pub(super) struct Woken {
    pub(super) endpoints: BTreeSet<EndpointId>,
    pub(super) trunks: BTreeSet<String>,
    /// Everybody.
    pub(super) rescan: bool,
}

/// Wakes one worker, and counts how often, so that a worker that is just leaving is started again.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rings: AtomicU64,
    pub(super) notify: Notify,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Release);
        self.notify.notify_one();
    }

    pub(super) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Acquire)
    }
}
