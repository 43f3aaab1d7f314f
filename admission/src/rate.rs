//! Calls per second: GCRA on one 64-bit word (ITU-T I.371 annex A, "virtual scheduling").
//!
//! The word holds the theoretical arrival time (TAT) in nanoseconds of the monotonic clock; 0 is a word never used.
//! A call conforms when `TAT - now <= tolerance`, and moves TAT one interval ahead. So in every window of T seconds at
//! most `cps * T + burst` calls are admitted. Must never read a clock itself, and never wait.

#[cfg(all(test, not(loom)))]
mod tests;

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
