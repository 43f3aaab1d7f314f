//! An answer that is not whole, beside what was known: it may add addresses, never take one away. Pure.

use std::net::SocketAddr;

use super::Found;
use super::lookup::{MAX_ADDRESSES, weighed};
use crate::domain::GatewayAddress;

/// What was found, and what was known that it does not tell of, at most as many as a name may have: what is new comes first
/// if that is too much. Within a tier those of before and of now weigh the same on average.
pub(super) fn with_known(found: &Found, known: &[GatewayAddress]) -> Vec<GatewayAddress> {
    // Those of a service have a port. A host of the same name, such as a web server, does not stand in for what was known.
    if found.stand_in && known.iter().any(of_service) {
        return known.to_vec();
    }
    let now = &found.addresses;
    let is_in = |list: &[GatewayAddress], uri: &str| list.iter().any(|address| address.uri == uri);
    if now.iter().all(|address| is_in(known, &address.uri)) {
        return known.to_vec();
    }
    let room = MAX_ADDRESSES.saturating_sub(now.len());
    let unconfirmed = known.iter().filter(|address| !is_in(now, &address.uri)).take(room);
    let shares = now.iter().map(|address| share(address, now));
    let mut all: Vec<_> = shares.chain(unconfirmed.map(|address| share(address, known))).collect();
    all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    weighed(&all)
}

/// Tier and URI, with the weight by the average of its tier.
fn share(address: &GatewayAddress, among: &[GatewayAddress]) -> (u16, String, f64) {
    let tier = among.iter().filter(|other| other.tier == address.tier);
    let (count, sum) =
        tier.fold((0.0, 0.0), |(count, sum), other| (count + 1.0, sum + f64::from(other.weight)));
    (address.tier, address.uri.clone(), f64::from(address.weight) * count / sum)
}

fn of_service(address: &GatewayAddress) -> bool {
    let place = address.uri.trim_start_matches("sip:").split(';').next();
    place.is_some_and(|place| place.parse::<SocketAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn list(addresses: &[(u16, &str, u16)]) -> Vec<GatewayAddress> {
        let address =
            |&(tier, uri, weight): &(u16, &str, u16)| GatewayAddress { tier, uri: uri.into(), weight };
        addresses.iter().map(address).collect()
    }

    fn partial(addresses: &[(u16, &str, u16)], stand_in: bool) -> Found {
        let incomplete = Some("AAAA of gw.test: refused".to_owned());
        Found { addresses: list(addresses), ttl: Duration::ZERO, incomplete, stand_in }
    }

    #[test]
    fn a_partial_answer_adds_and_takes_nothing_away() {
        let known =
            list(&[(0, "sip:192.0.2.1:5070", 3), (0, "sip:192.0.2.2:5070", 1), (1, "sip:192.0.2.3:5070", 1)]);
        let part = partial(&[(0, "sip:192.0.2.1:5070", 1)], false);
        assert_eq!(with_known(&part, &known), known, "nothing new");
        let new = partial(&[(0, "sip:192.0.2.9:5070", 1)], false);
        let all = with_known(&new, &known);
        assert_eq!(
            all,
            list(&[
                (0, "sip:192.0.2.1:5070", 65_535),
                (0, "sip:192.0.2.2:5070", 21_845),
                (0, "sip:192.0.2.9:5070", 43_690),
                (1, "sip:192.0.2.3:5070", 1),
            ])
        );
        assert_eq!(with_known(&new, &all), all, "the same answer again changes nothing");
        assert_eq!(with_known(&part, &[]), part.addresses);
    }

    #[test]
    fn what_is_new_comes_before_what_was_not_confirmed() {
        let uris: Vec<String> = (0..32).map(|number| format!("sip:192.0.2.{number}")).collect();
        let of = |uris: &[String]| -> Vec<_> {
            uris.iter().map(|uri| GatewayAddress { tier: 0, uri: uri.clone(), weight: 1 }).collect()
        };
        let found = Found { addresses: of(&uris[..10]), ..partial(&[], false) };
        let all = with_known(&found, &of(&uris[16..]));
        assert_eq!(all.len(), MAX_ADDRESSES);
        assert!(found.addresses.iter().all(|address| all.contains(address)));
    }

    #[test]
    fn a_host_does_not_stand_in_for_the_services_that_were_known() {
        let host = partial(&[(0, "sip:192.0.2.80", 1)], true);
        for service in ["sip:192.0.2.1:5060", "sip:[2001:db8::1]:5060;transport=tcp"] {
            let known = list(&[(0, service, 1)]);
            assert_eq!(with_known(&host, &known), known);
        }
        let known = list(&[(0, "sip:192.0.2.1;transport=tcp", 1), (0, "sip:[2001:db8::1]", 1)]);
        assert_eq!(with_known(&host, &known).len(), 3);
    }
}
