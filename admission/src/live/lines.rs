//! The cache line of a trunk, an account or the node: rate word, count, totals.
//!
//! A line is addressed by its `live` index; one beyond the file's capacity does not exist, and its owner's calls are
//! refused rather than let pass unlimited.

use super::health::Fitness;
use super::layout::*;
use super::{CountWord, Live, Scope};
use crate::clock::Now;
use crate::map;
use crate::rate::{Rate, RateWord};
use crate::sync::{AtomicU64, Ordering};

/// One line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a>(&'a [AtomicU64; LINE]);

impl<'a> Line<'a> {
    #[inline]
    pub(crate) fn rate(self) -> RateWord<'a> {
        RateWord(&self.0[LINE_RATE])
    }

    #[inline]
    pub(crate) fn calls(self) -> CountWord<'a> {
        CountWord(&self.0[LINE_CALLS])
    }

    /// A call was counted that this counts as no admission: another level refused it, or it was restored.
    pub(crate) fn count_undone(self) {
        self.0[LINE_UNDONE].fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn count_refused(self) {
        self.0[LINE_REFUSED].fetch_add(1, Ordering::Relaxed);
    }

    fn load(self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }
}

/// What a line says, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineView {
    /// Calls at the same time, now.
    pub calls: u32,
    /// Calls in the rate limiter's bucket, now.
    pub bucket: u32,
    /// Calls admitted since the file was made, modulo 2^31: those counted less those that came to nothing, so that
    /// nothing more is written on the way of every call. A call that is being judged may be in it for that moment.
    pub admitted_total: u64,
    /// Calls refused since the file was made, after they were identified.
    pub refused_total: u64,
}

impl Live {
    #[inline]
    pub(crate) fn line(&self, scope: Scope) -> Option<Line<'_>> {
        let (at, index, count) = match scope {
            Scope::Node => (L_NODE, 0, 1),
            Scope::Account(live) => (self.offsets.accounts, live, self.capacity.accounts),
            Scope::Trunk(live) => (self.offsets.trunks, live, self.capacity.trunks),
        };
        let at = at + index as usize * LINE;
        if index < count { self.map.shared_words().get(at..)?.first_chunk().map(Line) } else { None }
    }

    /// Asks for a line that will be written soon.
    #[inline]
    pub(crate) fn prefetch_line(&self, scope: Scope) {
        map::prefetch_to_write(self.line(scope).map(|line| &line.0[0]));
    }

    /// What stands in a line now; `None` beyond the capacity. `rate` is the limit in force, `now_ns` monotonic.
    pub fn line_view(&self, scope: Scope, rate: Option<Rate>, now_ns: u64) -> Option<LineView> {
        let line = self.line(scope)?;
        Some(LineView {
            calls: line.calls().get(),
            bucket: rate.map_or(0, |rate| line.rate().level(rate, now_ns)),
            admitted_total: u64::from(line.calls().taken()).wrapping_sub(line.load(LINE_UNDONE))
                & (u64::from(u32::MAX) >> 1),
            refused_total: line.load(LINE_REFUSED),
        })
    }

    /// Calls at the same time of one trunk.
    pub fn trunk_calls(&self, live: u32) -> u32 {
        self.line(Scope::Trunk(live)).map_or(0, |line| line.calls().get())
    }

    /// Calls at the same time of the whole node.
    pub fn node_calls(&self) -> u32 {
        self.line(Scope::Node).map_or(0, |line| line.calls().get())
    }

    /// Keeps a debt in calls when its rate changes.
    pub(crate) fn carry_over(&self, scope: Scope, old: Rate, new: Rate, now_ns: u64) {
        if let Some(line) = self.line(scope) {
            line.rate().carry_over(old, new, now_ns);
        }
    }

    /// Whether a limiter word holds any debt at this time.
    pub(crate) fn owes(&self, scope: Scope, now_ns: u64) -> bool {
        self.line(scope).is_some_and(|line| line.load(LINE_RATE) > now_ns)
    }

    /// Caps a debt at a full bucket of `rate`.
    pub(crate) fn cap_debt(&self, scope: Scope, rate: Rate, now_ns: impl Fn() -> u64) {
        if let Some(line) = self.line(scope) {
            line.rate().cap(rate, now_ns);
        }
    }

    /// Clears the line of a trunk or account that is no more, before its index is given to another.
    pub fn clear_line(&self, scope: Scope) {
        if let Some(line) = self.line(scope) {
            line.0.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }

    /// How many trunks, accounts and gateways the file has room for.
    pub fn room(&self) -> (u32, u32, u32) {
        (self.capacity.trunks, self.capacity.accounts, self.capacity.gateways)
    }
}

impl Live {
    /// How many gateways are down, or due for a trial, at this time.
    pub fn gateways_down(&self, now: Now) -> u32 {
        let words = (0..self.capacity.gateways).filter_map(|gateway| self.health(gateway));
        words.filter(|word| word.fitness(now.mono_ns / 1_000_000) != Fitness::Up).count() as u32
    }

    /// How a gateway may be used at this time; `None` beyond the capacity.
    pub fn gateway_fitness(&self, gateway: u32, now: Now) -> Option<Fitness> {
        self.health(gateway).map(|word| word.fitness(now.mono_ns / 1_000_000))
    }

    /// Forgets how a gateway did that is no more, before its index is given to another.
    pub fn clear_health(&self, gateway: u32) {
        if let Some(word) = self.health_word(gateway) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Asks for the health word of a gateway that will be read soon.
    #[inline]
    pub(crate) fn prefetch_health(&self, gateway: u32) {
        map::prefetch(self.health_word(gateway));
    }

    #[inline]
    pub(crate) fn health_word(&self, gateway: u32) -> Option<&AtomicU64> {
        let at = self.offsets.health + gateway as usize;
        (gateway < self.capacity.gateways).then(|| &self.map.shared_words()[at])
    }
}
