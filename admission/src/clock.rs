//! The time of a decision, and the clock of a call that is up.
//!
//! Limits go by the monotonic clock, people by the wall clock. The wall clock may be set at any moment, so a call keeps the one it
//! began by: whatever becomes of the machine's clock meanwhile, its length is what has really passed.

use crate::map;

/// The time of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic clock in nanoseconds: limits.
    pub mono_ns: u64,
    /// Wall clock in milliseconds since 1970: for people.
    pub wall_ms: u64,
}

impl Now {
    /// Both clocks, without a system call.
    pub fn read() -> Now {
        let (mono_ns, wall_ms) = map::both_clocks();
        Now { mono_ns, wall_ms }
    }

    fn mono_ms(self) -> u64 {
        self.mono_ns / 1_000_000
    }
}

/// A wall clock that nobody sets: what the machine's said when the call began, and from there on with the monotonic one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallClock(i64);

impl CallClock {
    /// The one that shows what the machine's shows now.
    #[inline]
    pub(crate) fn begin(now: Now) -> CallClock {
        CallClock(now.wall_ms.wrapping_sub(now.mono_ms()).cast_signed())
    }

    /// From the word of a slot: any will do.
    pub(crate) fn from_word(word: u64) -> CallClock {
        CallClock(word.cast_signed())
    }

    /// As the word of a slot.
    pub(crate) fn word(self) -> u64 {
        self.0.cast_unsigned()
    }

    /// What it shows at `now`, in milliseconds since 1970.
    pub fn at(self, now: Now) -> u64 {
        self.0.saturating_add_unsigned(now.mono_ms()).max(0).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_changes_no_calls_length() {
        let begin = Now { mono_ns: 5_999_999, wall_ms: 1_800_000_000_000 };
        let clock = CallClock::begin(begin);
        assert_eq!(clock.at(begin), begin.wall_ms);
        for wall_ms in [0, 1_800_000_000_700, 1_800_003_600_700, u64::MAX] {
            assert_eq!(clock.at(Now { mono_ns: 705_999_999, wall_ms }), 1_800_000_000_700);
        }
        assert_eq!(CallClock::from_word(clock.word()), clock);
        let before_1970 = CallClock::begin(Now { mono_ns: u64::MAX, wall_ms: 1 });
        assert_eq!(before_1970.at(Now { mono_ns: 0, wall_ms: 1 }), 0);
    }

    #[test]
    fn it_never_goes_back() {
        let clock = CallClock::begin(Now { mono_ns: 1_999_999, wall_ms: 7 });
        let shown =
            (0..4_000_000).step_by(1_000).map(|ns| clock.at(Now { mono_ns: 1_999_999 + ns, wall_ms: 0 }));
        assert!(shown.is_sorted());
    }
}
