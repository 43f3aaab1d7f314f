//! The wall clock behind a trait, so that tests can run days in seconds on tokio's paused clock.
//!
//! For stamps and due times only; waiting is done on tokio's timer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// The machine's clock, but one that was set is followed only once it has stayed so for [`BELIEVED_AFTER`]: what came due, or was put
/// off, by a clock that was wrong for a moment would be wrong for long. Somebody must look at it every second or so.
#[derive(Debug)]
pub struct SteadyClock {
    /// Where the monotonic clock is counted from.
    started: Instant,
    steady: Mutex<Steady>,
}

/// How long a clock must have been set before it is followed.
const BELIEVED_AFTER: Duration = Duration::from_secs(5);
/// How far the two clocks may go apart before that is one that was set.
pub(crate) const APART_MS: u64 = 1_000;

#[derive(Debug)]
struct Steady {
    /// Monotonic and wall clock, read together.
    anchor: (Duration, Millis),
    /// Since when the wall clock is another, and by how much.
    apart: Option<(Duration, Millis)>,
}

impl Steady {
    fn now_ms(&mut self, monotonic: Duration, wall_ms: Millis) -> Millis {
        let (then, then_ms) = self.anchor;
        let passed = monotonic.saturating_sub(then).as_millis();
        let steady_ms = then_ms.saturating_add(Millis::try_from(passed).unwrap_or(Millis::MAX));
        if steady_ms.abs_diff(wall_ms) <= APART_MS {
            self.apart = None;
            return steady_ms;
        }
        let by_ms = wall_ms.saturating_sub(steady_ms);
        let as_before = self.apart.filter(|(_, before_ms)| before_ms.abs_diff(by_ms) <= APART_MS);
        let (since, _) = *self.apart.insert(as_before.unwrap_or((monotonic, by_ms)));
        if monotonic.saturating_sub(since) < BELIEVED_AFTER {
            return steady_ms;
        }
        *self = Steady { anchor: (monotonic, wall_ms), apart: None };
        wall_ms
    }
}

impl SteadyClock {
    /// One that shows what the machine's shows now.
    pub fn start() -> SteadyClock {
        let anchor = (Duration::ZERO, SystemClock.now_ms());
        SteadyClock { started: Instant::now(), steady: Mutex::new(Steady { anchor, apart: None }) }
    }
}

impl Clock for SteadyClock {
    fn now_ms(&self) -> Millis {
        let mut steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        steady.now_ms(self.started.elapsed(), SystemClock.now_ms())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a steady clock shows, second by second, while the wall clock is ahead by what is said of each.
    fn shown(ahead_s: &[i64]) -> Vec<i64> {
        let mut steady = Steady { anchor: (Duration::ZERO, 1_000_000), apart: None };
        let second = |(at, ahead): (usize, &i64)| {
            let passed = Duration::from_secs(at as u64);
            (steady.now_ms(passed, 1_000_000 + (at as i64 + ahead) * 1_000) - 1_000_000) / 1_000
        };
        ahead_s.iter().enumerate().map(second).collect()
    }

    #[test]
    fn a_clock_that_is_wrong_for_a_moment_is_not_followed() {
        assert_eq!(shown(&[0, 3600, 3600, 3600, 3600, 0, -3600, -3600, 0]), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        // Nor is one that is set again and again, before it stays.
        let shown = shown(&[0, 60, 50, 40, 30, 20, 10, 10, 10, 10, 10, 10, 10]);
        assert_eq!(shown, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 21, 22]);
    }

    #[test]
    fn a_clock_that_was_set_is_followed_in_a_while_both_ways() {
        assert_eq!(
            shown(&[0, 60, 60, 60, 60, 60, 60, 60, 0, 0, 0, 0, 0, 0, 0]),
            [0, 1, 2, 3, 4, 5, 66, 67, 68, 69, 70, 71, 72, 13, 14]
        );
    }

    #[test]
    fn a_clock_that_creeps_away_is_followed_when_it_is_a_second_off() {
        let mut steady = Steady { anchor: (Duration::ZERO, 0), apart: None };
        let mut off = 0;
        for second in 0..100_000_u64 {
            let wall_ms = (second * 1_000 + second / 2).cast_signed();
            off = off.max(steady.now_ms(Duration::from_secs(second), wall_ms).abs_diff(wall_ms));
        }
        assert!((900..1_010).contains(&off), "{off}");
    }
}
