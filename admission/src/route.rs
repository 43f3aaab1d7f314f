//! The next gateway of a call: lower priority first, by weight within one priority (RFC 2782), known-dead ones last.
//!
//! Pure: a list, what was tried, how fit each is, and a random number. Must never offer a gateway twice to one call.

use crate::image::GatewayView;
use crate::live::health::Fitness;

/// Picks from `gateways`, which are in order of priority, one whose bit in `tried` is clear.
///
/// Gateways that are up or due for a trial come first, the rest only when there is none. `random` decides within one
/// priority: each gateway gets its share of all weights there, exactly, for any weights from 1 to 65,535.
#[inline]
pub(crate) fn choose(
    gateways: impl Iterator<Item = GatewayView>,
    tried: u64,
    fitness: impl Fn(&GatewayView) -> Fitness,
    random: u64,
) -> Option<GatewayView> {
    let (mut fit, mut unfit) = (Draw::new(random), Draw::new(random));
    for gateway in gateways.filter(|gateway| (tried >> gateway.position) & 1 == 0) {
        if fitness(&gateway) == Fitness::Down {
            unfit.offer(gateway);
        } else if !fit.offer(gateway) {
            break;
        }
    }
    fit.chosen.or(unfit.chosen)
}

/// One drawn by weight from the first priority that is offered, in one pass: each newcomer replaces the one chosen so
/// far with the probability of its share of all weights so far, so that in the end each was as likely as its weight.
struct Draw {
    random: u64,
    total: u64,
    chosen: Option<GatewayView>,
}

impl Draw {
    fn new(random: u64) -> Draw {
        Draw { random, total: 0, chosen: None }
    }

    /// `false` for one of a later priority.
    #[inline]
    fn offer(&mut self, gateway: GatewayView) -> bool {
        let weight = u64::from(gateway.weight.max(1));
        match &self.chosen {
            Some(chosen) if chosen.priority != gateway.priority => return false,
            None => self.chosen = Some(gateway),
            Some(_) => {
                self.random = next(self.random);
                let point = u128::from(self.random) * u128::from(self.total + weight);
                if ((point >> 64) as u64) < weight {
                    self.chosen = Some(gateway);
                }
            }
        }
        self.total += weight;
        true
    }
}

/// The next of a sequence of independent random words (SplitMix64).
#[inline]
fn next(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
