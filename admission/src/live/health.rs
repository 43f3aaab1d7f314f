//! One word for each gateway: up, down, or on trial, with hysteresis. Shared by all workers, untouched by any publish.
//!
//! Three failures in a row take a gateway down. Ten seconds later one call may try it; that call's outcome decides, and
//! each failed trial doubles the pause up to five minutes. Any success brings it up. A word of 0 is up, never used.
//!
//! Of a gateway that has answered a probe, probes tell more: one that is not answered is a failure, and while probes go on
//! they alone try it when it is down. One that never answered any is left to the calls: some never do. And what calls have found
//! out only calls can end: a gateway that answers probes and fails calls is down like any other.

use crate::sync::{AtomicU64, Ordering};

/// Failures in a row that take a gateway down.
const FAILURES: u64 = 3;
/// First pause before a trial, in milliseconds.
const PAUSE_MS: u64 = 10_000;
/// The pause doubles at most so often: 10 s to 320 s.
const DOUBLINGS: u64 = 5;

/// Pause before a call may try a gateway that probes know: they have stopped.
const PROBED_PAUSE_MS: u64 = 120_000;

const FAILED_MASK: u64 = 0xff;
const TRIAL: u64 = 1 << 8;
/// It has answered a probe.
const ANSWERS: u64 = 1 << 9;
/// It was sent a probe and has not answered yet.
const ASKED: u64 = 1 << 10;
const PROBES: u64 = ANSWERS | ASKED;
/// A call has failed there, and none has gone well since.
const CALLS: u64 = 1 << 11;
const SINCE_SHIFT: u32 = 16;

/// What came of sending a call, or a probe, to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered like a working gateway; busy or declined counts as such.
    Good,
    /// It did not answer, or answered that it cannot serve.
    Bad,
}

/// How a gateway may be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// Use it.
    Up,
    /// It is down, but a single call may try it.
    Trial,
    /// Only when nothing else is left.
    Down,
}

/// One gateway's word.
#[derive(Clone, Copy)]
pub(crate) struct HealthWord<'a>(pub(crate) &'a AtomicU64);

impl HealthWord<'_> {
    /// Whether nothing speaks against it, whatever the time.
    #[inline]
    pub(crate) fn is_good(self) -> bool {
        self.0.load(Ordering::Relaxed) & FAILED_MASK < FAILURES
    }

    pub(crate) fn fitness(self, now_ms: u64) -> Fitness {
        let word = self.0.load(Ordering::Relaxed);
        let failed = word & FAILED_MASK;
        if failed < FAILURES {
            return Fitness::Up;
        }
        let pause = match word & (ANSWERS | CALLS) {
            ANSWERS => PROBED_PAUSE_MS,
            _ => PAUSE_MS << (failed - FAILURES).min(DOUBLINGS),
        };
        if now_ms < (word >> SINCE_SHIFT).saturating_add(pause) { Fitness::Down } else { Fitness::Trial }
    }

    /// Takes the trial for one call: the pause starts again, so nobody else gets one meanwhile.
    pub(crate) fn take_trial(self, now_ms: u64) -> bool {
        if self.fitness(now_ms) != Fitness::Trial {
            return false;
        }
        let word = self.0.load(Ordering::Relaxed);
        let next = word & (FAILED_MASK | PROBES | CALLS) | TRIAL | now_ms << SINCE_SHIFT;
        self.0.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Counts an outcome. A success ends every doubt.
    pub(crate) fn report(self, outcome: Outcome, now_ms: u64) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = match outcome {
                Outcome::Good => word & PROBES,
                Outcome::Bad => {
                    let failed = (word & FAILED_MASK).saturating_add(1).min(FAILURES + DOUBLINGS);
                    // While it is down, only a trial's failure counts: calls sent to it for want of others do not.
                    if word & FAILED_MASK >= FAILURES && word & TRIAL == 0 {
                        return;
                    }
                    failed | word & PROBES | CALLS | now_ms << SINCE_SHIFT
                }
            };
            match self.0.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }

    /// A probe is on its way. When the one before was not answered by a gateway that has answered others, that is a failure;
    /// if it is down, its pause starts again.
    pub(crate) fn probed(self, now_ms: u64) {
        let missed = |word: u64| {
            let failed = word & FAILED_MASK;
            let counted = if failed < FAILURES { failed + 1 } else { failed };
            counted | word & (PROBES | CALLS | TRIAL) | now_ms << SINCE_SHIFT
        };
        self.update(|word| if word & PROBES == PROBES { missed(word) } else { word | ASKED });
    }

    /// It has answered a probe: that ends every doubt but that of calls.
    pub(crate) fn answered(self) {
        self.update(|word| if word & CALLS == 0 { ANSWERS } else { word & !ASKED | ANSWERS });
    }

    fn update(self, next: impl Fn(u64) -> u64) {
        let mut word = self.0.load(Ordering::Relaxed);
        while let Err(current) =
            self.0.compare_exchange_weak(word, next(word), Ordering::Relaxed, Ordering::Relaxed)
        {
            word = current;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn three_failures_take_it_down_and_one_trial_at_a_time_brings_it_back() {
        let cell = AtomicU64::new(0);
        let word = HealthWord(&cell);
        let mut now = 1_000_000;
        for _ in 0..2 {
            word.report(Outcome::Bad, now);
            assert_eq!(word.fitness(now), Fitness::Up);
        }
        word.report(Outcome::Good, now);
        for _ in 0..3 {
            assert_eq!(word.fitness(now), Fitness::Up);
            word.report(Outcome::Bad, now);
        }
        assert_eq!(word.fitness(now), Fitness::Down);
        assert!(!word.take_trial(now));
        for pause in [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 320_000] {
            assert_eq!(word.fitness(now + pause - 1), Fitness::Down, "{pause}");
            now += pause;
            assert!(word.take_trial(now));
            assert!(!word.take_trial(now), "one trial at a time");
            word.report(Outcome::Bad, now);
            word.report(Outcome::Bad, now);
        }
        now += 320_000;
        assert!(word.take_trial(now));
        word.report(Outcome::Good, now);
        assert_eq!(word.fitness(now), Fitness::Up);
    }

    #[test]
    fn probes_take_down_and_bring_back_what_has_answered_them() {
        let cell = AtomicU64::new(0);
        let word = HealthWord(&cell);
        let mut now = 1_000_000;
        let mut ask = || {
            now += 10_000;
            word.probed(now);
            word.fitness(now)
        };
        for _ in 0..10 {
            assert_eq!(ask(), Fitness::Up, "it never answers: probes say nothing of it");
        }
        word.answered();
        // The first of them is not answered only when the second is sent.
        for expected in [Fitness::Up, Fitness::Up, Fitness::Up, Fitness::Down, Fitness::Down] {
            assert_eq!(ask(), expected);
        }
        for _ in 0..100 {
            assert_eq!(ask(), Fitness::Down, "no call tries it while probes do");
        }
        assert_eq!(word.fitness(now + PROBED_PAUSE_MS), Fitness::Trial, "probes have stopped");
        word.answered();
        assert_eq!((word.fitness(now), word.is_good()), (Fitness::Up, true));

        // Calls count all the same, and a call that is taken ends the doubt of a missed answer.
        word.probed(now);
        word.probed(now);
        word.report(Outcome::Bad, now);
        assert!(word.is_good());
        word.report(Outcome::Good, now);
        for _ in 0..3 {
            assert!(word.is_good());
            word.report(Outcome::Bad, now);
        }
        // What calls have found out, no probe ends: its front answers, and it serves nobody.
        word.answered();
        assert!(!word.is_good());
        assert_eq!(word.fitness(now + PAUSE_MS - 1), Fitness::Down);
        assert!(word.take_trial(now + PAUSE_MS));
        word.report(Outcome::Bad, now + PAUSE_MS);
        word.answered();
        assert_eq!(word.fitness(now + 2 * PAUSE_MS), Fitness::Down, "each failed trial doubles the pause");
        assert!(word.take_trial(now + 3 * PAUSE_MS));
        word.report(Outcome::Good, now + 3 * PAUSE_MS);
        assert!(word.is_good());

        // Neither does one between two failures.
        for _ in 0..3 {
            assert!(word.is_good());
            word.report(Outcome::Bad, now);
            word.answered();
        }
        assert!(!word.is_good());
    }
}
