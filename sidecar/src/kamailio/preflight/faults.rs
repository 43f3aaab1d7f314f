//! What no row may be, looked for once more before it is written. Pure.
//!
//! All input was checked, and `rows` makes none of these: what is found here is a defect, and must not reach Kamailio.

use crate::kamailio::rows::{Address, Destination, Place, Rows};

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
