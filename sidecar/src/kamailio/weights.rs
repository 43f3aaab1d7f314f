//! Weights of 1 to 65535 as dispatcher knows them: 100 slots for all destinations of a set.
//!
//! Pure. Kamailio 5.6 (`dp_init_weights`, `dp_init_relative_weights` in modules/dispatcher/dispatch.c) ignores what goes beyond
//! 100 and gives what is missing to the last destination, so the slots of a set must be 100 in sum, exactly.

use trunk_admission::model::MAX_GATEWAYS;

/// Slots of a set.
pub(super) const SLOTS: u32 = 100;
const _: () = assert!(MAX_GATEWAYS <= SLOTS as usize, "each destination of a set needs a slot of its own");

/// The slots of each weight: 100 in sum, at least one each, else as near to its share as whole slots can be.
///
/// Takes 1 to [`MAX_GATEWAYS`] weights.
pub(super) fn slots(weights: &[u16]) -> Vec<u32> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    // In units of 1/total of a slot: exact, where fractions would be rounded.
    let ideal = |index: usize| u64::from(weights[index]) * u64::from(SLOTS);
    let mut slots: Vec<u32> =
        (0..weights.len()).map(|index| ((ideal(index) / total.max(1)) as u32).max(1)).collect();
    let owed =
        |slots: &[u32], index: usize| ideal(index) as i128 - i128::from(slots[index]) * i128::from(total);
    while slots.iter().sum::<u32>() < SLOTS {
        let Some(most) = (0..slots.len()).max_by_key(|&index| (owed(&slots, index), usize::MAX - index))
        else {
            break;
        };
        slots[most] += 1;
    }
    while slots.iter().sum::<u32>() > SLOTS {
        let large = (0..slots.len()).filter(|&index| slots[index] > 1);
        let Some(least) = large.min_by_key(|&index| (owed(&slots, index), index)) else { break };
        slots[least] -= 1;
    }
    slots
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_kept() {
        for (weights, expected) in [
            (&[1][..], &[100][..]),
            (&[7, 7], &[50, 50]),
            (&[1, 2], &[33, 67]),
            (&[1, 1, 1], &[34, 33, 33]),
            (&[65535, 1], &[99, 1]),
            (&[10, 20, 70], &[10, 20, 70]),
            (&[1, 1, 65535], &[1, 1, 98]),
        ] {
            assert_eq!(slots(weights), expected, "{weights:?}");
        }
        assert_eq!(slots(&[1; 64]).iter().sum::<u32>(), 100);
    }

    proptest! {
        #[test]
        fn slots_are_100_and_each_within_one_of_its_share_or_at_the_least(
            weights in proptest::collection::vec(1..=u16::MAX, 1..=MAX_GATEWAYS)
        ) {
            let slots = slots(&weights);
            prop_assert_eq!(slots.iter().sum::<u32>(), SLOTS);
            prop_assert!(slots.iter().all(|&slot| slot >= 1));
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            let raised = weights.iter().any(|&weight| f64::from(weight) * 100.0 / total < 1.0);
            for (&weight, &slot) in weights.iter().zip(&slots) {
                let ideal = f64::from(weight) * 100.0 / total;
                // What small ones were given beyond their share is taken from the others.
                prop_assert!(raised || (f64::from(slot) - ideal).abs() < 1.0, "{} for {}", slot, ideal);
            }
        }

        #[test]
        fn more_weight_is_never_fewer_slots(
            weights in proptest::collection::vec(1..=u16::MAX, 2..=MAX_GATEWAYS)
        ) {
            let slots = slots(&weights);
            for (a, weight_a) in weights.iter().enumerate() {
                for (b, weight_b) in weights.iter().enumerate() {
                    prop_assert!(weight_a <= weight_b || slots[a] + 1 > slots[b], "{:?} {:?}", weights, slots);
                }
            }
        }
    }
}
