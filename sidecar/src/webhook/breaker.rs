//! When an endpoint that fails is left alone, and how it comes back: pure arithmetic over times that are given.
//!
//! After one failure it gets one attempt at a time. After several in a row it rests, longer each time, and is then tried
//! with one event (half-open): success opens it wide, failure lets it rest again. Attempts are what an event has
//! only a dozen of, so a receiver that is down for an hour must not use up those of a whole backlog.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which an endpoint rests.
pub const FAILURES_TO_REST: u32 = 10;
/// How long it rests first; doubled each time.
pub const FIRST_REST: Duration = Duration::from_secs(5);
/// The longest rest.
pub const LONGEST_REST: Duration = Duration::from_secs(300);
/// The longest rest that a receiver may ask for with `Retry-After`.
pub const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// How an endpoint did last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Breaker {
    failures: u32,
    rest: Duration,
    until: Option<Instant>,
}

/// How many attempts may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// As many as the endpoint's share.
    All,
    /// One: it failed last.
    One,
    /// None for so long.
    Rest(Duration),
}

impl Breaker {
    pub(super) fn leave(&self, now: Instant) -> Leave {
        match (self.until, self.failures) {
            (Some(until), _) if until > now => Leave::Rest(until - now),
            (_, 0) => Leave::All,
            _ => Leave::One,
        }
    }

    /// The receiver took an event. Whether it had been resting.
    pub(super) fn good(&mut self) -> bool {
        let rested = !self.rest.is_zero();
        *self = Breaker::default();
        rested
    }

    /// It did not, and may have asked for patience. The rest that begins, if one does.
    pub(super) fn bad(&mut self, now: Instant, asked: Option<Duration>) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        // Those that were under way when a rest began make it no longer.
        let resting = matches!(self.leave(now), Leave::Rest(_));
        if !resting && self.failures >= FAILURES_TO_REST {
            self.rest = (self.rest * 2).clamp(FIRST_REST, LONGEST_REST);
            self.until = Some(now + self.rest);
        }
        if let Some(asked) = asked {
            self.until = self.until.max(Some(now + asked.min(LONGEST_ASKED)));
        }
        match self.leave(now) {
            Leave::Rest(rest) if !resting => Some(rest),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rests_grow_to_their_limit_and_one_success_ends_them() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.leave(now), Leave::All);
        for _ in 1..FAILURES_TO_REST {
            assert_eq!(breaker.bad(now, None), None);
            assert_eq!(breaker.leave(now), Leave::One);
        }
        for rest in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(breaker.bad(now, None), Some(seconds(rest)));
            assert_eq!(breaker.leave(now), Leave::Rest(seconds(rest)));
            now += seconds(rest);
            assert_eq!(breaker.leave(now), Leave::One, "half-open: one trial");
        }
        assert!(breaker.good());
        assert_eq!(breaker, Breaker::default());
        assert!(!breaker.good());
    }

    #[test]
    fn failures_of_what_was_under_way_make_a_rest_no_longer() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES_TO_REST + 7 {
            breaker.bad(now, None);
        }
        assert_eq!(breaker.leave(now), Leave::Rest(FIRST_REST));
    }

    #[test]
    fn a_receiver_may_ask_for_rest_within_bounds() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.bad(now, Some(seconds(60))), Some(seconds(60)));
        assert_eq!(breaker.bad(now, Some(seconds(5))), None, "the longer one holds");
        assert_eq!(breaker.leave(now + seconds(60)), Leave::One);
        breaker.bad(now, Some(Duration::MAX));
        assert_eq!(breaker.leave(now), Leave::Rest(LONGEST_ASKED));
    }
}
