//! When a failed delivery is tried again: pure arithmetic over a schedule that is data.
//!
//! Reads no clock and draws no random number: how far a wait is spread follows from the event's id.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Longest schedule.
pub const MAX_DELAYS: usize = 64;
/// How far a delay is spread to both sides.
pub const JITTER: f64 = 0.2;
/// Bounds of what a receiver may ask for with `Retry-After`.
pub const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// The waits after each failed attempt; there is one attempt more than waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

/// A schedule of no or too many waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {MAX_DELAYS} entries")]
pub struct ScheduleError;

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again after this long.
    RetryIn(Duration),
    /// That was the last attempt: keep the event, for an operator to replay.
    Park,
}

impl Schedule {
    /// A schedule of waits in seconds.
    pub fn from_seconds(delays: &[u64]) -> Result<Schedule, ScheduleError> {
        if !(1..=MAX_DELAYS).contains(&delays.len()) {
            return Err(ScheduleError);
        }
        Ok(Schedule(delays.iter().copied().map(Duration::from_secs).collect()))
    }

    /// How many attempts an event gets.
    pub fn attempts(&self) -> usize {
        self.0.len() + 1
    }

    /// The shortest time over which the attempts may spread.
    pub fn shortest(&self) -> Duration {
        self.0.iter().sum::<Duration>().mul_f64(1.0 - JITTER)
    }

    /// The longest that anything waits, if a receiver asks for it.
    pub fn longest(&self) -> Duration {
        let planned = self.0.iter().max().copied().unwrap_or_default().mul_f64(1.0 + JITTER);
        planned.max(RETRY_AFTER.1)
    }

    /// What follows the failure of attempt number `attempt` (the first is 1). `spread` is uniform in 0..1.
    ///
    /// `Retry-After` only ever makes the wait longer: a receiver may ask for patience, but not for more than its
    /// schedule of attempts, which it would use up before it is well again.
    pub fn after(&self, attempt: u32, retry_after: Option<Duration>, spread: f64) -> Next {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(delay) = self.0.get(index) else { return Next::Park };
        let planned = delay.mul_f64(1.0 - JITTER + 2.0 * JITTER * spread.clamp(0.0, 1.0));
        let asked = retry_after.map(|asked| asked.clamp(RETRY_AFTER.0, RETRY_AFTER.1)).unwrap_or_default();
        Next::RetryIn(planned.max(asked))
    }
}

/// Where in the jitter the wait after an attempt lies, uniform in 0..1: the same whenever and wherever it is asked, so that
/// a schedule can be foretold, and different for each event, so that a backlog does not come back all at once.
pub fn spread(event_id: &str, attempt: u32) -> f64 {
    let digest = Sha256::new().chain_update(event_id).chain_update(attempt.to_be_bytes()).finalize();
    let bits = digest.iter().take(4).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    f64::from(bits) / f64::from(u32::MAX)
}

/// What an HTTP status means for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// 2xx: the receiver has it.
    Delivered,
    /// 410: the receiver wants no more; the endpoint is disabled.
    Gone,
    /// Anything else, redirects included.
    Failed,
}

/// What a status means (Standard Webhooks 1.0, "responding to webhooks").
pub fn meaning(status: u16) -> Meaning {
    match status {
        200..=299 => Meaning::Delivered,
        410 => Meaning::Gone,
        _ => Meaning::Failed,
    }
}

/// `Retry-After` in seconds, where a status makes it meaningful (429, 502, 503, 504). Dates are not read: a receiver
/// with a wrong clock could park us.
pub fn retry_after(status: u16, header: Option<&str>) -> Option<Duration> {
    matches!(status, 429 | 502 | 503 | 504).then_some(header)??.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(next: Next) -> f64 {
        match next {
            Next::RetryIn(delay) => delay.as_secs_f64(),
            Next::Park => f64::INFINITY,
        }
    }

    #[test]
    fn delays_follow_the_list_within_the_jitter_and_then_park() {
        let schedule = Schedule::from_seconds(&[5, 300]).unwrap();
        assert_eq!(schedule.attempts(), 3);
        for (attempt, planned) in [(1, 5.0), (2, 300.0)] {
            assert!((seconds(schedule.after(attempt, None, 0.0)) - planned * 0.8).abs() < 1e-6);
            assert!((seconds(schedule.after(attempt, None, 0.5)) - planned).abs() < 1e-6);
            assert!((seconds(schedule.after(attempt, None, 1.0)) - planned * 1.2).abs() < 1e-6);
        }
        assert_eq!(schedule.after(3, None, 0.5), Next::Park);
        assert_eq!(schedule.after(u32::MAX, Some(Duration::from_secs(5)), 0.5), Next::Park);
    }

    #[test]
    fn waits_are_spread_evenly_and_the_same_each_time() {
        let spreads: Vec<_> = (0..10_000).map(|index| spread(&format!("evt_{index}"), index % 12)).collect();
        assert!(spreads.iter().all(|spread| (0.0..=1.0).contains(spread)));
        for tenth in 0..10 {
            let (from, to) = (f64::from(tenth) / 10.0, f64::from(tenth + 1) / 10.0);
            let count = spreads.iter().filter(|spread| (from..to).contains(*spread)).count();
            assert!((850..1150).contains(&count), "{count} of 10,000 in {from}..{to}");
        }
        assert_eq!(spread("evt_1", 1), spread("evt_1", 1));
        assert_ne!(spread("evt_1", 1), spread("evt_1", 2));
    }

    #[test]
    fn retry_after_is_clamped_and_never_shortens_the_wait() {
        let schedule = Schedule::from_seconds(&[5]).unwrap();
        let wait = |asked| seconds(schedule.after(1, Some(Duration::from_secs(asked)), 0.5));
        assert_eq!(wait(0), 5.0);
        assert_eq!(wait(2), 5.0);
        assert_eq!(wait(120), 120.0);
        assert_eq!(wait(u64::MAX), 86_400.0);
    }

    #[test]
    fn retry_after_is_read_where_it_means_something() {
        for (status, header, read) in [
            (503, Some("120"), Some(120)),
            (429, Some(" 7 "), Some(7)),
            (500, Some("120"), None),
            (503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), None),
            (503, Some("-1"), None),
            (503, None, None),
        ] {
            assert_eq!(retry_after(status, header), read.map(Duration::from_secs), "{status} {header:?}");
        }
    }

    #[test]
    fn only_2xx_is_success_and_410_ends_it() {
        for status in 100..=599 {
            let wanted = match status {
                200..=299 => Meaning::Delivered,
                410 => Meaning::Gone,
                _ => Meaning::Failed,
            };
            assert_eq!(meaning(status), wanted);
        }
    }
}
