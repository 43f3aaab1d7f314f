//! How full the receive buffers have lately been: what the timer process saw, for the workers.
//!
//! Written by one process, read by all. A find is one word, a percentage and until when it counts, so that nobody takes one
//! for the other's. It must never be a reason by itself to send a customer away: anybody can fill a buffer.

use super::Live;
use super::layout::*;
use crate::map;
use crate::sync::Ordering;

/// How long a look counts, in milliseconds: longer than until the next one, so that a node does not swing between too much
/// and nothing.
const BACKLOG_MS: u64 = 3_000;
const PERCENT: u64 = 0xffff;

impl Live {
    /// What one look at the receive buffers found. A smaller find does not take the place of a larger one that still counts.
    pub fn note_backlog(&self, percent: u32) {
        let last = self.word(L_BACKLOG_LAST).load(Ordering::Relaxed);
        self.word(L_BACKLOG_LAST).store(percent.into(), Ordering::Relaxed);
        let twice = u32::try_from(last).unwrap_or(u32::MAX).min(percent);
        self.hold(L_BACKLOG, percent);
        self.hold(L_BACKLOG_TWICE, twice);
    }

    /// How full they have lately been, in percent.
    pub fn backlog(&self) -> u32 {
        self.held(L_BACKLOG)
    }

    /// How full they have lately been in two looks in a row, in percent.
    pub fn lasting_backlog(&self) -> u32 {
        self.held(L_BACKLOG_TWICE)
    }

    fn hold(&self, at: usize, percent: u32) {
        if percent >= self.held(at) {
            let until = (now_ms() + BACKLOG_MS) << PERCENT.count_ones();
            let find = until | u64::from(percent).min(PERCENT);
            self.word(at).store(find, Ordering::Relaxed);
        }
    }

    fn held(&self, at: usize) -> u32 {
        let find = self.word(at).load(Ordering::Relaxed);
        let counts = find >> PERCENT.count_ones() > now_ms();
        if counts { (find & PERCENT) as u32 } else { 0 }
    }
}

fn now_ms() -> u64 {
    map::monotonic_ns() / 1_000_000
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::brakes::tests::live;
    use super::*;

    /// As if the looks had been three seconds ago.
    fn forget(live: &Live) {
        for at in [L_BACKLOG, L_BACKLOG_TWICE] {
            live.word(at).fetch_sub(BACKLOG_MS << PERCENT.count_ones(), Ordering::Relaxed);
        }
    }

    #[test]
    fn a_backlog_counts_for_a_while_and_the_largest_stands() {
        let (_dir, live) = live();
        assert_eq!(live.backlog(), 0);
        live.note_backlog(80);
        live.note_backlog(10);
        assert_eq!(live.backlog(), 80);
        forget(&live);
        assert_eq!(live.backlog(), 0);
        live.note_backlog(10);
        assert_eq!(live.backlog(), 10);
    }

    #[test]
    fn what_one_look_finds_does_not_last() {
        let (_dir, live) = live();
        for percent in [0, 90, 5, 90] {
            live.note_backlog(percent);
        }
        assert_eq!((live.backlog(), live.lasting_backlog()), (90, 5));
        live.note_backlog(80);
        assert_eq!(live.lasting_backlog(), 80);
        forget(&live);
        assert_eq!((live.backlog(), live.lasting_backlog()), (0, 0));
    }
}
