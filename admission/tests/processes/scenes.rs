//! The scenes of the hammer: limits of rate and of calls at the same time on every level; which of them binds differs.

use std::path::Path;

use trunk_admission::Reason;
use trunk_admission::instance::Options;
use trunk_admission::model::{Limits, Table};

use crate::tables::{account, limits, options, table, trunk};

/// Processes that hammer.
pub(crate) const PROCESSES: u32 = 8;

/// What a scene limits, and how hard it is pressed.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) trunks: u32,
    pub(crate) accounts: u32,
    pub(crate) slots: u32,
    pub(crate) trunk: Limits,
    pub(crate) account: Limits,
    pub(crate) node: Limits,
    /// Calls that one process holds at most.
    pub(crate) held: usize,
    /// Share of all attempts, in percent.
    pub(crate) share: u64,
    /// The level whose rate must be used up to the last token.
    pub(crate) used_up: Option<Level>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Trunk,
    Account,
    Node,
}

impl Level {
    /// What a call is told that finds this level's rate used up.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Level::Trunk => Reason::CpsExceeded,
            Level::Account => Reason::AccountCpsExceeded,
            Level::Node => Reason::NodeOverloaded,
        }
    }
}

pub(crate) fn scenes() -> [Scene; 5] {
    let ample = |concurrent| limits(100_000.0, 1_000_000, concurrent);
    [
        Scene {
            name: "one trunk, its rate binds",
            trunks: 1,
            accounts: 1,
            slots: 64,
            trunk: limits(20_000.0, 10_000, 40),
            account: limits(40_000.0, 20_000, 50),
            node: limits(50_000.0, 30_000, 60),
            held: 4,
            share: 20,
            used_up: Some(Level::Trunk),
        },
        Scene {
            name: "one trunk, no burst anywhere",
            trunks: 1,
            accounts: 1,
            slots: 64,
            trunk: limits(30_000.0, 1, 40),
            account: limits(29_000.0, 1, 50),
            node: limits(28_000.0, 2, 60),
            held: 4,
            share: 20,
            used_up: None,
        },
        Scene {
            name: "one trunk, its calls bind",
            trunks: 1,
            accounts: 1,
            slots: 9,
            trunk: ample(5),
            account: ample(6),
            node: ample(7),
            held: 2,
            share: 15,
            used_up: None,
        },
        Scene {
            name: "1,000 trunks at random, every level binds",
            trunks: 1_000,
            accounts: 20,
            slots: 11,
            trunk: limits(200.0, 2, 2),
            account: limits(3_000.0, 5, 4),
            node: limits(40_000.0, 10, 12),
            held: 8,
            share: 30,
            used_up: None,
        },
        Scene {
            name: "1,000 trunks at random, their accounts' rates bind",
            trunks: 1_000,
            accounts: 20,
            slots: 64,
            trunk: limits(2_000.0, 1_000, 10),
            account: limits(1_000.0, 20_000, 30),
            node: ample(60),
            held: 4,
            share: 15,
            used_up: Some(Level::Account),
        },
    ]
}

impl Scene {
    /// Whose limits a call of this trunk meets at a level.
    pub(crate) fn owner(&self, level: Level, trunk: u32) -> u32 {
        match level {
            Level::Trunk => trunk,
            Level::Account => trunk % self.accounts,
            Level::Node => 0,
        }
    }

    pub(crate) fn table(&self) -> Table {
        let trunks =
            (0..self.trunks).map(|live| trunk(live, Some(self.owner(Level::Account, live)), self.trunk));
        let accounts = (0..self.accounts).map(|live| account(live, self.account));
        table(1, self.node, accounts.collect(), trunks.collect())
    }

    pub(crate) fn options(&self, dir: &Path) -> Options {
        options(dir, self.slots, self.trunks + 1, self.accounts, PROCESSES + 1)
    }
}
