//! Rate limits that change with a publish keep their debts: the same number of calls, at the new interval.
//!
//! Slower ones are carried over before the images are named, faster ones after, so that in between a limiter word is too
//! strict, never too generous.

use crate::Rate;
use crate::live::{Live, Scope};
use crate::map::monotonic_ns;
use crate::model::{Account, Trunk};
use crate::tables::Tables;

/// Caps every debt at what the limits in force can have made: a full bucket. A publisher that died after it had carried
/// debts over and before it named the images has left some too large, and the next one carries them over again.
pub(super) fn cap(live: &Live, tables: &Tables) {
    let (trunks, accounts, _) = live.room();
    let cap = |scope, rate: &dyn Fn() -> Option<Rate>| {
        if live.owes(scope, monotonic_ns())
            && let Some(rate) = rate()
        {
            live.cap_debt(scope, rate, monotonic_ns);
        }
    };
    cap(Scope::Node, &|| tables.node_rate());
    (0..accounts).for_each(|index| {
        cap(Scope::Account(index), &|| tables.account(index)?.0.rate());
    });
    (0..trunks).for_each(|index| {
        cap(Scope::Trunk(index), &|| tables.trunk_by_live(index)?.0.rate());
    });
}

/// The limits that change.
pub(super) struct Debts<'a> {
    live: &'a Live,
    changed: Vec<Change>,
}

struct Change {
    scope: Scope,
    old: Rate,
    new: Rate,
}

impl<'a> Debts<'a> {
    /// What changes between the tables in force and these rows, which need not be all.
    pub(super) fn new<'b>(
        live: &'a Live,
        old: &Tables,
        node: Option<Rate>,
        trunks: impl Iterator<Item = &'b Trunk>,
        accounts: impl Iterator<Item = &'b Account>,
    ) -> Debts<'a> {
        let changed = |scope, old: Option<Rate>, new: Option<Rate>| match (old, new) {
            (Some(old), Some(new)) if old != new => Some(Change { scope, old, new }),
            _ => None,
        };
        let node = changed(Scope::Node, old.node_rate(), node);
        let trunks = trunks.filter_map(|trunk| {
            let (was, _) = old.trunk_by_live(trunk.live)?;
            changed(Scope::Trunk(trunk.live), was.rate(), trunk.limits.rate)
        });
        let accounts = accounts.filter_map(|account| {
            let (was, _) = old.account(account.live)?;
            changed(Scope::Account(account.live), was.rate(), account.limits.rate)
        });
        Debts { live, changed: node.into_iter().chain(trunks).chain(accounts).collect() }
    }

    /// Before the images are named.
    pub(super) fn carry_slower(&self) {
        self.carry(|old, new| new > old);
    }

    /// After.
    pub(super) fn carry_faster(&self) {
        self.carry(|old, new| new < old);
    }

    fn carry(&self, which: impl Fn(u64, u64) -> bool) {
        let now = monotonic_ns();
        for change in &self.changed {
            if which(change.old.interval_ns(), change.new.interval_ns()) {
                self.live.carry_over(change.scope, change.old, change.new, now);
            }
        }
    }
}
