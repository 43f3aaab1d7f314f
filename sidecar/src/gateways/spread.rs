//! The gateways of a trunk as calls know them: each address of a name is one, within the priority and weight of its name. Pure.
//!
//! A name has the share of traffic that its weight says, and its addresses split it. Tiers of addresses (the priorities of
//! SRV records) nest in the name's own priority. Must never give a call more gateways than it can remember.

use std::collections::BTreeSet;

use trunk_admission::model::{self, MAX_GATEWAY_BYTES, MAX_GATEWAYS};

use super::Target;
use super::target::reached_by;
use crate::domain::OriginationUri;
use crate::store::{PlacedAddress, PlacedTrunk};

/// Heaviest weight.
const HEAVIEST: f64 = u16::MAX as f64;

/// One gateway to be, with its share of the weight in its priority and tier.
struct Place<'a> {
    gateway: &'a OriginationUri,
    uri: String,
    tier: u16,
    live: u32,
    share: f64,
    /// Which of its name's addresses it is.
    rank: usize,
}

/// The gateways that calls of a trunk may take. A name that is not known to lead anywhere has none.
///
/// # Errors
/// The first whose index is not below `room`.
pub(crate) fn gateways(placed: &PlacedTrunk, room: u32) -> Result<Vec<model::Gateway>, (String, u32)> {
    let mut places = Vec::new();
    let enabled = placed.item.origination_uris.iter().zip(&placed.gateways);
    for (gateway, &live) in enabled.filter(|(gateway, _)| gateway.enabled) {
        let uri = reached_by(&gateway.uri, placed.item.transport);
        match Target::of(&gateway.uri, placed.item.transport) {
            None => {
                let share = f64::from(gateway.weight);
                places.push(Place { gateway, uri, tier: 0, live, share, rank: 0 });
            }
            Some(_) => places.extend(of_name(gateway, &uri, placed.addresses_of(&gateway.uri))),
        }
    }
    if let Some(beyond) = places.iter().find(|place| place.live >= room) {
        return Err((beyond.uri.clone(), beyond.live));
    }
    // What is too much goes evenly, from the ends of the names' lists.
    places.sort_by_key(|place| place.rank);
    places.truncate(MAX_GATEWAYS);
    places.sort_by(|a, b| {
        let order = |place: &Place<'_>| (place.gateway.priority, place.tier);
        (order(a), &a.uri).cmp(&(order(b), &b.uri))
    });
    let order: BTreeSet<_> = places.iter().map(|place| (place.gateway.priority, place.tier)).collect();
    let tiered = places.iter().any(|place| place.tier > 0);
    let mut made = Vec::with_capacity(places.len());
    for tier in places.chunk_by(|a, b| (a.gateway.priority, a.tier) == (b.gateway.priority, b.tier)) {
        let shares: Vec<f64> = tier.iter().map(|place| place.share).collect();
        for (place, weight) in tier.iter().zip(weights(&shares)) {
            let counted = order.range(..(place.gateway.priority, place.tier)).count() as u16;
            made.push(model::Gateway {
                uri: place.uri.clone(),
                live: place.live,
                priority: if tiered { counted } else { place.gateway.priority },
                weight,
            });
        }
    }
    Ok(made)
}

fn of_name<'a>(
    gateway: &'a OriginationUri,
    uri: &str,
    addresses: impl Iterator<Item = &'a PlacedAddress>,
) -> Vec<Place<'a>> {
    let addresses: Vec<_> = addresses.collect();
    let total = |tier: u16| -> f64 {
        let of_tier = addresses.iter().filter(|address| address.item.tier == tier);
        of_tier.map(|address| f64::from(address.item.weight)).sum()
    };
    let place = |(rank, address): (usize, &&PlacedAddress)| Place {
        gateway,
        uri: model::Gateway::named(uri, &address.item.uri),
        tier: address.item.tier,
        live: address.live,
        share: f64::from(gateway.weight) * f64::from(address.item.weight) / total(address.item.tier),
        rank,
    };
    let places = addresses.iter().enumerate().map(place);
    places.filter(|place| place.uri.len() <= MAX_GATEWAY_BYTES).collect()
}

/// Weights in these shares: the shares themselves where they are weights, else as near as 16 bits can be.
pub(super) fn weights(shares: &[f64]) -> Vec<u16> {
    let most = shares.iter().copied().fold(1.0, f64::max);
    let exact = most <= HEAVIEST && shares.iter().all(|share| share.fract() == 0.0 && *share >= 1.0);
    let scale = if exact { 1.0 } else { HEAVIEST / most };
    shares.iter().map(|share| (share * scale).round().clamp(1.0, HEAVIEST) as u16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_that_are_weights_stay_and_others_keep_their_proportions() {
        assert_eq!(weights(&[1.0]), [1]);
        assert_eq!(weights(&[3.0, 65_535.0]), [3, 65_535]);
        assert_eq!(weights(&[1.5, 1.5, 1.0]), [65_535, 65_535, 43_690]);
        assert_eq!(weights(&[65_535.0, 0.1]), [65_535, 1], "nobody is left out");
    }
}
