//! The wall clock behind a trait, so that tests can run days in seconds on tokio's paused clock.
//!
//! For stamps and due times only; waiting is done on tokio's timer.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Millis;

/// Tells the time of day.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> Millis;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }
}

/// A clock that starts at a given time and moves with tokio's, paused or not.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    started_ms: Millis,
    started: tokio::time::Instant,
}

impl TokioClock {
    /// Starts the clock at `started_ms`.
    pub fn starting_at(started_ms: Millis) -> TokioClock {
        TokioClock { started_ms, started: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now_ms(&self) -> Millis {
        self.started_ms + Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }
}
