//! What Kamailio could not hold after its next start or reload, found before it is written. Pure.
//!
//! Kamailio itself finds out too late: it says "Reload OK" to a table of which it dropped the rest, and a running proxy is not
//! told that its next start will fail. The figures are of 5.6.3 with db_sqlite (docs/kamailio-tables.md has them); they
//! are above what was measured, never below.

use super::mark::{Kind, Load, Tally};
use super::rows::{Address, Destination, Place, Rows};

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
}

/// Private memory that a configuration takes before any table is loaded, in bytes. The shipped one takes less than 1 MiB.
const BASE: u64 = 2 << 20;
/// Private memory of a row while its table is read: its five values, its place among the rows, and what allocating costs.
const ROW: u64 = 300;
/// The same for each column of text, beside its characters.
const TEXT: u64 = 104;

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
    refusals
}

fn memory(tally: &Tally, texts: u64) -> u64 {
    tally.rows * (ROW + texts * TEXT) + tally.characters
}

/// Why a row must not be written: always a defect, since all input was checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A network that Kamailio would take for something else.
    #[error("address {0}: its mask must be 1 to {1}, and no bit beyond it set")]
    Network(String, u8),
    /// A text that would leak out of its column, or that nobody can match.
    #[error("a text has {0} bytes, or characters that must not stand in a table of Kamailio")]
    Text(usize),
    /// Slots that Kamailio would ignore or give away.
    #[error("the weights of dispatcher set {set} are {sum} in sum; they must be 100")]
    Weights {
        /// Which set.
        set: i32,
        /// Their sum.
        sum: u32,
    },
}

/// Everything that is wrong with rows that are about to be written.
pub fn faults(rows: &Rows) -> Vec<Fault> {
    let mut faults: Vec<Fault> = rows.addresses.iter().filter_map(network_fault).collect();
    let users = rows.subscribers.iter().flat_map(|row| [&row.username, &row.domain, &row.ha1]);
    let names = rows.addresses.iter().filter_map(|row| match &row.place {
        Place::Name(name) => Some(name),
        Place::Host(_) | Place::Subnet(_) => None,
    });
    let tags = rows.addresses.iter().filter_map(|row| row.tag.as_ref());
    let gateways = rows.destinations.iter().flat_map(|row| [&row.uri, &row.attrs]);
    let texts = users.chain(names).chain(tags).chain(gateways);
    faults.extend(texts.filter(|text| !is_safe(text)).map(|text| Fault::Text(text.len())));
    faults.extend(rows.destinations.chunk_by(|a, b| a.set == b.set).filter_map(weight_fault));
    faults
}

fn network_fault(row: &Address) -> Option<Fault> {
    let Place::Subnet(network) = &row.place else { return None };
    let good = (1..network.max_prefix_len()).contains(&network.prefix_len()) && *network == network.trunc();
    (!good).then(|| Fault::Network(network.to_string(), network.max_prefix_len() - 1))
}

/// Printable ASCII without what could end a text in SIP, SQL, JSON or a parameter list.
fn is_safe(text: &str) -> bool {
    (1..=320).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_graphic() && !b"\"'`\\<>,".contains(&c))
}

fn weight_fault(tier: &[Destination]) -> Option<Fault> {
    let weight = |row: &Destination| {
        let mut parts = row.attrs.split(';');
        parts.find_map(|part| part.strip_prefix("rweight=")?.parse::<u32>().ok()).unwrap_or(0)
    };
    let sum = tier.iter().map(weight).sum();
    (sum != 100 || tier.iter().any(|row| weight(row) == 0)).then(|| Fault::Weights { set: tier[0].set, sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { address: true, dispatcher: true, max_subnets: 512, pkg_mb: 8 };

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
            let least = Limits { pkg_mb: measured_mb - 1, max_subnets: u32::MAX, ..LIMITS };
            assert_eq!(check(&load, &least).len(), 1, "{load:?} must not pass with {}", measured_mb - 1);
            let ample = Limits { pkg_mb: measured_mb + 3, ..least };
            assert_eq!(check(&load, &ample), [], "{load:?} must pass with {}", measured_mb + 3);
        }
    }

    #[test]
    fn only_what_is_loaded_counts_and_all_is_told_at_once() {
        let much = load(100_000, 1000, 0, 100_000);
        assert_eq!(check(&much, &LIMITS).len(), 3);
        assert_eq!(check(&much, &Limits { address: false, dispatcher: false, ..LIMITS }), []);
        let told = check(&much, &Limits { address: false, ..LIMITS });
        assert!(matches!(told[..], [Refusal::Memory { table: "dispatcher", rows: 100_001, .. }]), "{told:?}");
    }

    #[test]
    fn a_faulty_row_is_named() {
        let address =
            |network: &str| Address { group: 1, place: Place::Subnet(network.parse().unwrap()), tag: None };
        let destination = |slots: u32| Destination {
            set: 64,
            uri: "sip:192.0.2.1".into(),
            flags: 0,
            attrs: format!("rweight={slots}"),
        };
        let rows = Rows {
            addresses: vec![address("0.0.0.0/0"), address("10.0.0.1/8"), address("10.0.0.0/8")],
            destinations: vec![destination(70), destination(31)],
            ..Rows::default()
        };
        let faults = faults(&rows);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert_eq!(faults[2], Fault::Weights { set: 64, sum: 101 });
        let bad = Destination { uri: "sip:x\r\nVia: y".into(), ..destination(100) };
        let rows = Rows { destinations: vec![bad], ..Rows::default() };
        assert!(matches!(super::faults(&rows)[..], [Fault::Text(13)]));
    }
}
