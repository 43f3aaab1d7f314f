//! Requests that keep their connection for long: so many at once, of all callers and of one token.
//!
//! Connections are few, so whoever may keep them must never take those that others need to say one word.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::problem::Refusal;

/// Those that are in.
#[derive(Debug)]
pub(super) struct Crowd {
    room: Arc<Semaphore>,
    most_of_token: usize,
    of_token: Mutex<HashMap<Uuid, usize>>,
}

/// A place in it, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    token: Uuid,
    _room: OwnedSemaphorePermit,
}

impl Crowd {
    /// Nobody is in.
    pub(super) fn new(most: usize, most_of_token: usize) -> Arc<Crowd> {
        let room = Arc::new(Semaphore::new(most));
        Arc::new(Crowd { room, most_of_token, of_token: Mutex::default() })
    }

    /// Takes a place, or says that there is none.
    pub(super) fn enter(self: &Arc<Crowd>, token: Uuid) -> Result<Place, Refusal> {
        let busy = || {
            let detail = "there are too many such requests at once, of this token or of all";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
        };
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| busy())?;
        let mut counts = self.counts();
        let count = counts.entry(token).or_default();
        if *count >= self.most_of_token {
            return Err(busy());
        }
        *count += 1;
        drop(counts);
        Ok(Place { crowd: Arc::clone(self), token, _room: room })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.of_token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts();
        if let Some(count) = counts.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places_and_each_comes_back() {
        let crowd = Crowd::new(3, 2);
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = crowd.enter(one).unwrap();
        let second = crowd.enter(one).unwrap();
        assert_eq!(crowd.enter(one).unwrap_err().code, "busy");
        let third = crowd.enter(two).unwrap();
        assert_eq!(crowd.enter(two).unwrap_err().code, "busy", "all are taken");
        drop(first);
        drop(crowd.enter(one).unwrap());
        drop(crowd.enter(two).unwrap());
        drop((second, third));
        assert!(crowd.counts().is_empty(), "nothing is kept of who has left");
        assert_eq!(crowd.room.available_permits(), 3);
    }
}
