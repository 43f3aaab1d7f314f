//! Calls per second: GCRA on one 64-bit word (ITU-T I.371 annex A, "virtual scheduling").
//!
//! The word holds the theoretical arrival time (TAT) in nanoseconds of the monotonic clock; 0 is a word never used.
//! A call conforms when `TAT - now <= tolerance`, and moves TAT one interval ahead. So in every window of T seconds at
//! most `cps * T + burst` calls are admitted. Must never read a clock itself, and never wait.

use crate::sync::{AtomicU64, Ordering, Site, swap};

/// A rate limit: one call each `interval_ns`, `burst` of them at once after silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval_ns: u64,
    burst: u32,
}

/// A rate that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not 0 and not within 0.001 to 100,000.
    #[error("calls per second are 0 (none) or 0.001 to 100000")]
    Cps,
    /// Not within 1 to 1,000,000.
    #[error("a burst is 1 to 1000000 calls")]
    Burst,
}

const NS_PER_SECOND: f64 = 1e9;
/// How often [`RateWord::forgive`] goes after a word that moves.
const FORGIVING_SWAPS: u32 = 8;

impl Rate {
    /// Admits nothing.
    pub const NONE: Rate = Rate { interval_ns: 0, burst: 0 };

    /// `cps` calls per second (0 for none, else 0.001 to 100,000, fractions allowed) with `burst` calls at once
    /// (1 to 1,000,000; when absent, the calls of one second, at least 1).
    pub fn per_second(cps: f64, burst: Option<u32>) -> Result<Rate, RateError> {
        if cps == 0.0 {
            return Ok(Rate::NONE);
        }
        if !(0.001..=100_000.0).contains(&cps) {
            return Err(RateError::Cps);
        }
        let burst = burst.unwrap_or(cps.ceil() as u32);
        if !(1..=1_000_000).contains(&burst) {
            return Err(RateError::Burst);
        }
        // Rounded up: an interval a nanosecond too long keeps the promise, one too short breaks it.
        Ok(Rate { interval_ns: (NS_PER_SECOND / cps).ceil() as u64, burst })
    }

    /// From the words of an image: an interval of 0 admits nothing. Any bits are acceptable; none can overflow.
    pub(crate) fn from_words(interval_ns: u64, burst: u32) -> Rate {
        Rate { interval_ns: interval_ns.min(1 << 40), burst: burst.min(1 << 20) }
    }

    /// Nanoseconds between calls at the sustained rate; 0 admits nothing.
    pub fn interval_ns(self) -> u64 {
        self.interval_ns
    }

    /// Calls at once after silence.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// Calls per second.
    pub fn cps(self) -> f64 {
        if self.interval_ns == 0 { 0.0 } else { NS_PER_SECOND / self.interval_ns as f64 }
    }

    fn admits_nothing(self) -> bool {
        self.interval_ns == 0 || self.burst == 0
    }

    /// How far TAT may be ahead of now for a call to conform.
    fn tolerance_ns(self) -> u64 {
        self.interval_ns * u64::from(self.burst.saturating_sub(1))
    }
}

/// The call does not conform now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Nanoseconds until a call would conform if nobody else came; `u64::MAX` when none ever will.
    pub wait_ns: u64,
    /// Calls the bucket holds now, the burst when it is full: the count that the refusal reports.
    pub count: u32,
}

/// A token that was taken and may be given back while nothing came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Token {
    before: u64,
    after: u64,
}

/// One limiter word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateWord<'a>(pub(crate) &'a AtomicU64);

impl RateWord<'_> {
    /// Whether a call would conform, taking nothing: then the token that it would take.
    #[inline]
    pub(crate) fn peek(self, rate: Rate, now_ns: u64) -> Result<Token, Exceeded> {
        let before = self.0.load(Ordering::Relaxed);
        Ok(Token { before, after: verdict(before, rate, now_ns)? })
    }

    /// Takes one call if it conforms.
    pub(crate) fn take(self, rate: Rate, now_ns: u64) -> Result<Token, Exceeded> {
        self.take_seen(self.peek(rate, now_ns)?, rate, now_ns)
    }

    /// Takes the token that was seen by a look at the same time and by the same rate; another one, if there is one, when somebody
    /// was faster. Orderings are relaxed: the word is the whole state, and a read-modify-write always acts on the newest
    /// value, so no token is granted twice.
    #[inline]
    pub(crate) fn take_seen(self, seen: Token, rate: Rate, now_ns: u64) -> Result<Token, Exceeded> {
        let mut token = seen;
        loop {
            match swap(Site::RateSwap, self.0, token.before, token.after, Ordering::Relaxed) {
                Ok(_) => return Ok(token),
                Err(before) => token = Token { before, after: verdict(before, rate, now_ns)? },
            }
        }
    }

    /// Gives a token back if nobody took another after it, so that the word is what it was before; else it is spent.
    /// Subtracting it from under a later call would forget a part of that call's debt as soon as time has passed in
    /// between, and no clock that is read here says whether it has when the word is swapped.
    pub(crate) fn give_back(self, token: Token) {
        let _ = swap(Site::RateSwap, self.0, token.after, token.before, Ordering::Relaxed);
    }

    /// Takes one call back, whoever has come since; a word that others keep moving is left as it is. It may forget a part of a
    /// later call's debt, as [`RateWord::give_back`] says, so it is for words that promise no window.
    pub(crate) fn forgive(self, rate: Rate, now_ns: u64) {
        let mut tat = self.0.load(Ordering::Relaxed);
        for _ in 0..FORGIVING_SWAPS {
            if tat <= now_ns {
                return;
            }
            let next = tat.saturating_sub(rate.interval_ns).max(now_ns);
            match swap(Site::RateSwap, self.0, tat, next, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => tat = current,
            }
        }
    }

    /// Carries the debt over to a new rate: the same number of calls, at the new interval. Called by the publisher,
    /// before the image is named when calls become slower and after it when they become faster, so that in between
    /// the word is too strict, never too generous.
    pub(crate) fn carry_over(self, old: Rate, new: Rate, now_ns: u64) {
        if old.admits_nothing() || new.admits_nothing() || old.interval_ns == new.interval_ns {
            return;
        }
        let mut tat = self.0.load(Ordering::Relaxed);
        while tat > now_ns {
            let debt = u128::from(tat - now_ns) * u128::from(new.interval_ns);
            let scaled = debt.div_ceil(u128::from(old.interval_ns)).min(1 << 62) as u64;
            match swap(Site::RateSwap, self.0, tat, now_ns + scaled, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => tat = current,
            }
        }
    }

    /// Caps the debt at a full bucket, which no taker goes above. The clock is read after the word: whoever wrote it had
    /// read the clock before.
    pub(crate) fn cap(self, rate: Rate, now_ns: impl Fn() -> u64) {
        if rate.admits_nothing() {
            return;
        }
        let full = rate.interval_ns * u64::from(rate.burst);
        let mut tat = self.0.load(Ordering::Relaxed);
        loop {
            let most = now_ns().saturating_add(full);
            if tat <= most {
                return;
            }
            match swap(Site::RateSwap, self.0, tat, most, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => tat = current,
            }
        }
    }

    /// Calls that the bucket holds now, rounded up.
    pub(crate) fn level(self, rate: Rate, now_ns: u64) -> u32 {
        if rate.interval_ns == 0 {
            return 0;
        }
        let debt = self.0.load(Ordering::Relaxed).saturating_sub(now_ns);
        u32::try_from(debt.div_ceil(rate.interval_ns)).unwrap_or(u32::MAX)
    }
}

/// The next TAT if a call conforms at `now_ns`.
#[inline]
fn verdict(tat: u64, rate: Rate, now_ns: u64) -> Result<u64, Exceeded> {
    if rate.admits_nothing() {
        return Err(Exceeded { wait_ns: u64::MAX, count: 0 });
    }
    let base = tat.max(now_ns);
    let ahead = base - now_ns;
    match ahead.checked_sub(rate.tolerance_ns()) {
        None | Some(0) => Ok(base.saturating_add(rate.interval_ns)),
        Some(wait_ns) => {
            let count = u32::try_from(ahead.div_ceil(rate.interval_ns)).unwrap_or(u32::MAX);
            Err(Exceeded { wait_ns, count: count.min(rate.burst) })
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_at_once_and_then_one_call_each_interval() {
        let word = AtomicU64::new(0);
        let word = RateWord(&word);
        let rate = Rate::per_second(2.0, Some(3)).unwrap();
        let start = 100 * SECOND;
        for _ in 0..3 {
            let _ = word.take(rate, start).unwrap();
        }
        assert_eq!(word.take(rate, start), Err(Exceeded { wait_ns: SECOND / 2, count: 3 }));
        assert_eq!(word.take(rate, start + SECOND / 2 - 1), Err(Exceeded { wait_ns: 1, count: 3 }));
        let _ = word.take(rate, start + SECOND / 2).unwrap();
        assert!(word.take(rate, start + SECOND / 2).is_err());
    }

    #[test]
    fn zero_admits_nothing_and_a_rate_has_bounds() {
        let word = AtomicU64::new(0);
        let none = Rate::per_second(0.0, None).unwrap();
        assert_eq!(RateWord(&word).take(none, SECOND), Err(Exceeded { wait_ns: u64::MAX, count: 0 }));
        for bad in [-1.0, 0.0001, 100_001.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Rate::per_second(bad, None), Err(RateError::Cps), "{bad}");
        }
        assert_eq!(Rate::per_second(1.0, Some(0)), Err(RateError::Burst));
        assert_eq!(Rate::per_second(0.5, None).unwrap().burst(), 1);
        assert_eq!(Rate::per_second(2.5, None).unwrap().burst(), 3);
    }

    /// Forty lines that cannot be wrong: a bucket of exact fractions of a call, drained by the clock.
    struct Model {
        level: u128, // in interval_ns * SCALE
        last: u64,
    }

    impl Model {
        fn take(&mut self, rate: Rate, now: u64) -> bool {
            self.level = self.level.saturating_sub(u128::from(now - self.last));
            self.last = now;
            let full = u128::from(rate.interval_ns()) * u128::from(rate.burst());
            let fits = self.level + u128::from(rate.interval_ns()) <= full;
            if fits {
                self.level += u128::from(rate.interval_ns());
            }
            fits
        }
    }

    #[test]
    fn a_debt_is_capped_at_a_full_bucket_and_a_smaller_one_stays() {
        let rate = Rate::per_second(10.0, Some(5)).unwrap();
        for (debt, left) in
            [(0, 0), (SECOND / 4, SECOND / 4), (SECOND / 2, SECOND / 2), (9 * SECOND, SECOND / 2)]
        {
            let word = AtomicU64::new(100 * SECOND + debt);
            RateWord(&word).cap(rate, || 100 * SECOND);
            assert_eq!(word.load(Ordering::Relaxed), 100 * SECOND + left);
        }
        let word = AtomicU64::new(u64::MAX);
        RateWord(&word).cap(Rate::NONE, || 0);
        assert_eq!(word.load(Ordering::Relaxed), u64::MAX, "what admits nothing has no bucket");
    }

    #[test]
    fn a_call_that_is_forgiven_leaves_room_for_one_and_never_for_more_than_a_burst() {
        let rate = Rate::per_second(2.0, Some(2)).unwrap();
        let cell = AtomicU64::new(0);
        let word = RateWord(&cell);
        let start = 100 * SECOND;
        word.forgive(rate, start);
        for _ in 0..2 {
            let _ = word.take(rate, start).unwrap();
        }
        assert!(word.take(rate, start).is_err());
        word.forgive(rate, start);
        let _ = word.take(rate, start).unwrap();
        for _ in 0..9 {
            word.forgive(rate, start);
        }
        let taken = (0..9).filter(|_| word.take(rate, start).is_ok()).count();
        assert_eq!(taken, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_word_agrees_with_a_leaky_bucket_and_no_window_is_broken(
            cps in 0.05f64..500.0, burst in 1u32..20, gaps in prop::collection::vec(0u64..400_000_000, 1..120)
        ) {
            let rate = Rate::per_second(cps, Some(burst)).unwrap();
            let cell = AtomicU64::new(0);
            let word = RateWord(&cell);
            let mut model = Model { level: 0, last: SECOND };
            let mut now = SECOND;
            let mut admitted = Vec::new();
            for gap in gaps {
                now += gap;
                let taken = word.take(rate, now);
                prop_assert_eq!(taken.is_ok(), model.take(rate, now));
                match taken {
                    Ok(_) => admitted.push(now),
                    // The wait is true: one nanosecond less is refused, exactly that long is admitted.
                    Err(exceeded) => {
                        prop_assert!(word.peek(rate, now + exceeded.wait_ns - 1).is_err());
                        prop_assert!(word.peek(rate, now + exceeded.wait_ns).is_ok());
                    }
                }
            }
            for (i, &from) in admitted.iter().enumerate() {
                for (j, &to) in admitted.iter().enumerate().skip(i) {
                    let window = to - from;
                    let bound = window / rate.interval_ns() + u64::from(burst);
                    prop_assert!((j - i + 1) as u64 <= bound, "{} calls in {window} ns", j - i + 1);
                }
            }
        }

        #[test]
        fn tokens_given_back_in_any_order_break_no_window(
            burst in 1u32..5, steps in prop::collection::vec((0u64..25, 0usize..4, any::<bool>()), 1..60)
        ) {
            let rate = Rate { interval_ns: 10, burst };
            let cell = AtomicU64::new(0);
            let (mut now, mut kept, mut pending) = (SECOND, Vec::new(), Vec::new());
            for (gap, which, back) in steps {
                now += gap;
                match (pending.len().checked_sub(1), back) {
                    (Some(last), true) => RateWord(&cell).give_back(pending.remove(which.min(last))),
                    _ => if let Ok(token) = RateWord(&cell).take(rate, now) {
                        if which == 0 { kept.push(now) } else { pending.push(token) }
                    },
                }
            }
            for (i, &from) in kept.iter().enumerate() {
                for (j, &to) in kept.iter().enumerate().skip(i) {
                    prop_assert!((j - i + 1) as u64 <= (to - from) / 10 + u64::from(burst), "{kept:?}");
                }
            }
        }

        #[test]
        fn a_token_given_back_at_once_leaves_the_word_as_it_was(cps in 0.5f64..50.0, before in 0u32..9) {
            let rate = Rate::per_second(cps, Some(10)).unwrap();
            let cell = AtomicU64::new(0);
            for _ in 0..before {
                let _ = RateWord(&cell).take(rate, SECOND).unwrap();
            }
            let word = cell.load(Ordering::Relaxed);
            let token = RateWord(&cell).take(rate, SECOND).unwrap();
            RateWord(&cell).give_back(token);
            prop_assert_eq!(cell.load(Ordering::Relaxed), word);
        }

        #[test]
        fn a_new_rate_keeps_the_debt_in_calls(
            old in 0.1f64..1000.0, new in 0.1f64..1000.0, burst in 1u32..50, used in 1u32..50
        ) {
            let (old, new) = (Rate::per_second(old, Some(burst)).unwrap(), Rate::per_second(new, Some(burst)).unwrap());
            let cell = AtomicU64::new(0);
            let word = RateWord(&cell);
            let used = used.min(burst);
            for _ in 0..used {
                let _ = word.take(old, SECOND).unwrap();
            }
            word.carry_over(old, new, SECOND);
            let mut left = 0;
            while word.take(new, SECOND).is_ok() {
                left += 1;
            }
            prop_assert!(left <= burst - used, "{left} left of {burst} after {used}");
            prop_assert!(left + 1 >= burst - used);
        }
    }
}
