//! The choice of a gateway against a small reference model: lower number first, a known-dead one only when nothing else is
//! left, none twice, and within one priority each by its weight.

use std::ops::Range;

use proptest::prelude::*;
use trunk_admission::model::{Gateway, Table};
use trunk_admission::{Now, Outcome};

use crate::support::{Node, admitted, gateway, table, trunk};

const HOST: &str = "acme.sip.example";
const SOURCE: &str = "203.0.113.7";
/// Failures in a row that take a gateway down.
const FAILURES: usize = 3;
const PICKS: u32 = 100_000;

fn gateways(list: &[(u16, u16)]) -> Vec<Gateway> {
    let one = |(live, &(priority, weight))| gateway(&format!("sip:g{live}.example"), live, priority, weight);
    (0..).zip(list).map(one).collect()
}

fn with(list: &[(u16, u16)]) -> Table {
    let mut one = trunk("acme", 0, "0.0.0.0/0");
    one.gateways = gateways(list);
    table(vec![one])
}

/// Which gateways may be next: of those not tried, the fit ones of the lowest number; when none is fit, all of the lowest.
fn may_be_next(list: &[(u16, u16)], down: u64, tried: u64) -> Vec<u32> {
    let bit = |set: u64, at: &u32| set >> at & 1 == 1;
    let open: Vec<u32> = (0..list.len() as u32).filter(|at| !bit(tried, at)).collect();
    let fit: Vec<u32> = open.iter().copied().filter(|at| !bit(down, at)).collect();
    let among = if fit.is_empty() { open } else { fit };
    let priority = |at: &u32| list[*at as usize].0;
    let first = among.iter().map(priority).min();
    among.into_iter().filter(|at| Some(priority(at)) == first).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_hunt_goes_as_the_model_allows(
        list in prop::collection::vec((0..4u16, 1..=u16::MAX), 1..9),
        down in any::<u64>(),
        changes in prop::collection::vec((0..9u32, any::<bool>()), 0..6),
        calls in 1..4usize,
    ) {
        let mut node = Node::with(&with(&list));
        let mut down = down & ((1 << list.len()) - 1);
        let report = |node: &Node, at: u32, is_down: bool| {
            let (times, outcome) = if is_down { (FAILURES, Outcome::Bad) } else { (1, Outcome::Good) };
            (0..times).for_each(|_| node.instance.gateway_result(at, outcome, Now::read()));
        };
        (0..list.len() as u32).for_each(|at| report(&node, at, down >> at & 1 == 1));
        let mut changes = changes.into_iter();
        for call in 0..calls {
            let call = admitted(node.call_at(HOST, SOURCE, &call.to_string(), 1_000_000_000));
            let identity = node.instance.identity_of(0).unwrap();
            let (mut tried, mut attempts) = (0, 0);
            while let Some(target) = node.instance.route(&identity, call.slot) {
                let allowed = may_be_next(&list, down, tried);
                prop_assert!(allowed.contains(&target.live), "{} of {:?}, {:?} down {:b} tried {:b}", target.live, allowed, list, down, tried);
                tried |= 1 << target.live;
                attempts += 1;
                prop_assert_eq!(usize::from(target.attempt), attempts);
                // Health may change while a call hunts.
                if let Some((at, is_down)) = changes.next().filter(|(at, _)| (*at as usize) < list.len()) {
                    report(&node, at, is_down);
                    down = down & !(1 << at) | u64::from(is_down) << at;
                }
            }
            prop_assert_eq!(attempts, list.len(), "each once, the dead ones too");
            node.instance.end(call.slot, |_| {});
        }
    }
}

/// The upper 1 % point of a chi-square distribution (Wilson and Hilferty's approximation).
fn one_percent_point(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + 2.326 * spread.sqrt()).powi(3)
}

/// How often each of the first `gateways` is picked first by these calls.
fn picks(node: &mut Node, calls: Range<u32>, gateways: usize) -> Vec<u32> {
    let mut picks = vec![0; gateways];
    for n in calls {
        let call = admitted(node.call_at(HOST, SOURCE, &n.to_string(), 1_000_000_000));
        let identity = node.instance.identity_of(0).unwrap();
        let first = node.instance.route(&identity, call.slot).unwrap().live as usize;
        *picks.get_mut(first).expect("another tier while this one is up") += 1;
        node.instance.end(call.slot, |_| {});
    }
    picks
}

/// The same for gateways of these weights; another tier stands behind, and another before it is down.
fn picks_of_a_tier(weights: &[u16]) -> Vec<u32> {
    let tier = weights.iter().map(|&weight| (7, weight));
    let list: Vec<(u16, u16)> = tier.chain([(3, 65_535), (9, 65_535)]).collect();
    let mut node = Node::with(&with(&list));
    let before = weights.len() as u32;
    (0..FAILURES).for_each(|_| node.instance.gateway_result(before, Outcome::Bad, Now::read()));
    picks(&mut node, 0..PICKS, weights.len())
}

/// What is wanted of ten thousand calls, and of a hundred times as many: shares within 2 %, and a chi-square that chance explains.
/// Chance itself goes beyond p = 0.01 once in a hundred times, so a test that draws afresh must not ask for it; here the seed is
/// fixed. Nor may many lie beyond 0.99: gateways that took turns would share better than chance does.
#[test]
fn ten_thousand_calls_are_shared_as_chance_would_share_them() {
    const CALLS: u32 = 10_000;
    let weights = [10, 20, 70];
    let mut node = Node::with(&with(&weights.map(|weight| (7, weight))));
    let mut chances = Vec::new();
    for round in 0..100 {
        let picks = picks(&mut node, round * CALLS..(round + 1) * CALLS, weights.len());
        let mut sum = 0.0;
        for (weight, picked) in weights.into_iter().zip(picks) {
            let expected = f64::from(weight) / 100.0 * f64::from(CALLS);
            let off = f64::from(picked) - expected;
            assert!(off.abs() <= 0.02 * f64::from(CALLS), "{weight}: {picked} of {CALLS}");
            sum += off * off / expected;
        }
        // With two degrees of freedom the tail is this simple.
        chances.push((-sum / 2.0).exp());
    }
    assert!(chances[0] > 0.01, "p = {}", chances[0]);
    let unlikely = chances.iter().filter(|chance| **chance <= 0.01).count();
    let regular = chances.iter().filter(|chance| **chance >= 0.99).count();
    assert!(unlikely <= 5 && regular <= 5, "{unlikely} and {regular} of 100: {chances:?}");
}

#[test]
fn weights_are_shares_of_a_tier_for_any_integers() {
    let lists: [&[u16]; 9] = [
        &[1, 65_535],
        &[65_535; 8],
        &[1; 8],
        &[1, 2, 3, 4, 5, 6],
        &[100, 100, 1],
        &[65_535, 32_768, 16_384, 8_192],
        &[50, 30, 20],
        &[997, 991, 983, 977],
        &[40_000, 40_000, 1, 7],
    ];
    let (mut sum, mut freedom) = (0.0, 0.0);
    for weights in lists {
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let picks = picks_of_a_tier(weights);
        // Bins too small to be judged alone are judged together.
        let (mut rest, mut bins) = ((0.0, 0.0), 0.0);
        let mut add = |expected: f64, picked: f64| {
            sum += (picked - expected).powi(2) / expected;
            bins += 1.0;
        };
        for (&weight, &picked) in weights.iter().zip(&picks) {
            let share = f64::from(weight) / total as f64;
            let (expected, picked) = (share * f64::from(PICKS), f64::from(picked));
            let off = (picked - expected).abs() / f64::from(PICKS);
            assert!(off <= 0.01, "{weights:?}: {picks:?}, {off} off");
            if expected < 5.0 { rest = (rest.0 + expected, rest.1 + picked) } else { add(expected, picked) }
        }
        if rest.0 > 0.5 {
            add(rest.0, rest.1);
        }
        freedom += bins - 1.0;
    }
    // The sum of independent chi-squares is one of all their degrees of freedom. The seed is fixed: this never flakes.
    let bound = one_percent_point(freedom);
    assert!(
        sum < bound,
        "chi-square {sum} with {freedom} degrees of freedom: p > 0.01 wants less than {bound}"
    );
}
