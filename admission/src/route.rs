//! The next gateway of a call: lower priority first, by weight within one priority (RFC 2782), known-dead ones last.
//!
//! Pure: a list, what was tried, how fit each is, and a random number. Must never offer a gateway twice to one call.

use crate::image::GatewayView;
use crate::live::health::Fitness;

/// Picks from `gateways`, which are in order of priority, one whose bit in `tried` is clear.
///
/// Three rounds: gateways that are up or due for a trial, then the rest. `random` decides within one priority: each
/// gateway gets its share of all weights there, exactly, for any weights from 1 to 65,535.
pub(crate) fn choose(
    gateways: impl Iterator<Item = GatewayView> + Clone,
    tried: u64,
    fitness: impl Fn(&GatewayView) -> Fitness,
    random: u64,
) -> Option<GatewayView> {
    let open = gateways.filter(|gateway| (tried >> gateway.position) & 1 == 0);
    let fit = open.clone().filter(|gateway| fitness(gateway) != Fitness::Down);
    by_weight(fit, random).or_else(|| by_weight(open, random))
}

fn by_weight(candidates: impl Iterator<Item = GatewayView> + Clone, random: u64) -> Option<GatewayView> {
    let first = candidates.clone().next()?;
    let tier = candidates.take_while(|gateway| gateway.priority == first.priority);
    let weight = |gateway: &GatewayView| u64::from(gateway.weight.max(1));
    let total: u64 = tier.clone().map(|gateway| weight(&gateway)).sum();
    let mut point = ((u128::from(random) * u128::from(total)) >> 64) as u64;
    tier.clone()
        .find(|gateway| {
            let share = weight(gateway);
            let hit = point < share;
            point = point.saturating_sub(share);
            hit
        })
        .or(Some(first))
}
