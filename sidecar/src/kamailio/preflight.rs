//! What Kamailio could not hold after its next start or reload, found before it is written. Pure.
//!
//! Kamailio itself finds out too late: it says "Reload OK" to a table of which it dropped the rest, and a running proxy is not
//! told that its next start will fail. The figures are of 5.6.3 with db_sqlite (docs/kamailio-tables.md has them); they
//! are above what was measured, never below.

mod faults;

use super::mark::{Kind, Load, Tally};

pub use faults::{Fault, faults};

/// What Kamailio was given. Each rule holds only for a table that it has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Whether it has loaded `address`.
    pub address: bool,
    /// Whether it has loaded `dispatcher`.
    pub dispatcher: bool,
    /// permissions' `max_subnets`.
    pub max_subnets: u32,
    /// Its option `-M`: private memory of each process, in MiB.
    pub pkg_mb: u32,
    /// Its option `-m`: memory that its processes share, in MiB.
    pub shm_mb: u32,
}

/// Private memory that a configuration takes before any table is loaded, in bytes. The shipped one takes less than 1 MiB.
const BASE: u64 = 2 << 20;
/// Private memory of a row while its table is read: its five values, its place among the rows, and what allocating costs.
const ROW: u64 = 300;
/// The same for each column of text, beside its characters.
const TEXT: u64 = 104;
/// Shared memory of a row that is loaded, beside its characters; a destination may have a set of its own.
const SHARED: [(Kind, u64); 3] = [(Kind::Host, 170), (Kind::Name, 165), (Kind::Destination, 1600)];
/// While a table is read anew, it is there twice.
const COPIES: u64 = 2;

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// permissions drops what goes beyond, and answers "Reload OK".
    #[error(
        "the table address would have {needed} networks (one is trunkline's mark); kamailio.max_subnets is {limit}, and \
         Kamailio drops what goes beyond it"
    )]
    Subnets {
        /// Networks, the mark included.
        needed: u64,
        /// `max_subnets`.
        limit: u32,
    },
    /// The next start ends with "no private memory left".
    #[error(
        "the table {table} would have {rows} rows, for which Kamailio needs {needed_mb} MiB of private memory; \
         kamailio.pkg_mb is {limit_mb}, and Kamailio would not start again"
    )]
    Memory {
        /// Name of the table.
        table: &'static str,
        /// Its rows, the mark included.
        rows: u64,
        /// Memory needed, rounded up.
        needed_mb: u64,
        /// `pkg_mb`.
        limit_mb: u32,
    },
    /// dispatcher leaves out what it has no memory for when it starts; calls need the rest of it.
    #[error(
        "the tables would take {needed_mb} MiB of Kamailio's shared memory while they are read; half of kamailio.shm_mb, \
         which is {limit_mb}, is for calls"
    )]
    Shared {
        /// Memory needed, rounded up.
        needed_mb: u64,
        /// `shm_mb`.
        limit_mb: u32,
    },
}

impl Limits {
    fn has_loaded(&self, kind: Kind) -> bool {
        match kind {
            Kind::Host | Kind::Subnet | Kind::Name => self.address,
            Kind::Destination => self.dispatcher,
        }
    }
}

/// Everything that Kamailio could not hold.
pub fn check(load: &Load, limits: &Limits) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let subnets = load.subnets.rows + 1;
    if limits.address && subnets > u64::from(limits.max_subnets) {
        refusals.push(Refusal::Subnets { needed: subnets, limit: limits.max_subnets });
    }
    let tables = [
        (limits.address, "address", &[(Kind::Host, 1), (Kind::Subnet, 1), (Kind::Name, 2)][..]),
        (limits.dispatcher, "dispatcher", &[(Kind::Destination, 2)][..]),
    ];
    for (loaded, table, kinds) in tables {
        let needed = BASE + kinds.iter().map(|&(kind, texts)| memory(load.of(kind), texts)).sum::<u64>();
        let needed_mb = needed.div_ceil(1 << 20);
        if loaded && needed_mb > u64::from(limits.pkg_mb) {
            let rows = kinds.iter().map(|&(kind, _)| load.of(kind).rows).sum::<u64>() + 1;
            refusals.push(Refusal::Memory { table, rows, needed_mb, limit_mb: limits.pkg_mb });
        }
    }
    let shared = |&(kind, each): &(Kind, u64)| {
        let Tally { rows, characters, .. } = *load.of(kind);
        if limits.has_loaded(kind) { (rows * each + characters) * COPIES } else { 0 }
    };
    let needed_mb = SHARED.iter().map(shared).sum::<u64>().div_ceil(1 << 20);
    if needed_mb > u64::from(limits.shm_mb) / 2 {
        refusals.push(Refusal::Shared { needed_mb, limit_mb: limits.shm_mb });
    }
    refusals
}

fn memory(tally: &Tally, texts: u64) -> u64 {
    tally.rows * (ROW + texts * TEXT) + tally.characters
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { address: true, dispatcher: true, max_subnets: 512, pkg_mb: 8, shm_mb: 64 };

    fn load(hosts: u64, subnets: u64, names: u64, destinations: u64) -> Load {
        let tally = |rows, characters| Tally { rows, characters: rows * characters, sum: 0 };
        Load {
            hosts: tally(hosts, 13),
            subnets: tally(subnets, 11),
            names: tally(names, 47),
            destinations: tally(destinations, 67),
        }
    }

    #[test]
    fn what_kamailio_would_drop_is_refused_with_the_limit() {
        assert_eq!(check(&load(0, 511, 0, 0), &LIMITS), []);
        let over = check(&load(0, 512, 0, 0), &LIMITS);
        assert_eq!(over, [Refusal::Subnets { needed: 513, limit: 512 }]);
        assert!(over[0].to_string().contains("kamailio.max_subnets is 512"), "{}", over[0]);
        assert_eq!(check(&load(0, 512, 0, 0), &Limits { address: false, ..LIMITS }), []);
    }

    /// Measured with 5.6.3's default allocator: so many rows start with so many MiB, and not with one less.
    #[test]
    fn the_figures_are_not_below_what_was_measured() {
        for (load, measured_mb) in [
            (load(10_000, 0, 0, 0), 5),
            (load(40_000, 0, 0, 0), 17),
            (load(0, 0, 20_000, 0), 12),
            (load(0, 0, 40_000, 0), 22),
            (load(0, 0, 0, 10_000), 7),
            (load(0, 0, 0, 40_000), 23),
        ] {
            let least = Limits { pkg_mb: measured_mb - 1, shm_mb: 1024, ..LIMITS };
            assert_eq!(check(&load, &least).len(), 1, "{load:?} must not pass with {}", measured_mb - 1);
            let ample = Limits { pkg_mb: measured_mb + 3, ..least };
            assert_eq!(check(&load, &ample), [], "{load:?} must pass with {}", measured_mb + 3);
        }
    }

    #[test]
    fn only_what_is_loaded_counts_and_all_is_told_at_once() {
        let much = load(100_000, 1000, 0, 100_000);
        assert_eq!(check(&much, &LIMITS).len(), 4);
        assert_eq!(check(&much, &Limits { address: false, dispatcher: false, ..LIMITS }), []);
        let told = check(&much, &Limits { address: false, shm_mb: 1024, ..LIMITS });
        assert!(matches!(told[..], [Refusal::Memory { table: "dispatcher", rows: 100_001, .. }]), "{told:?}");
    }

    /// Measured: 10,000 destinations in sets of their own take 17 MB once, 34 MB while they are read anew.
    #[test]
    fn half_of_the_shared_memory_is_for_calls() {
        let ample = Limits { pkg_mb: 64, ..LIMITS };
        assert_eq!(check(&load(0, 0, 0, 9_000), &ample), []);
        assert_eq!(check(&load(0, 0, 0, 12_000), &ample), [Refusal::Shared { needed_mb: 39, limit_mb: 64 }]);
        assert_eq!(check(&load(0, 0, 0, 12_000), &Limits { shm_mb: 80, ..ample }), []);
    }
}
