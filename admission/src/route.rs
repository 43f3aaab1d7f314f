//! The next gateway of a call: lower priority first, by weight within one priority (RFC 2782), known-dead ones last.
//!
//! Pure: a list, what was tried, how fit each is, and a random number. Must never offer a gateway twice to one call.

use core::hint::select_unpredictable;

use crate::image::GatewayView;
use crate::live::health::Fitness;

/// Picks from `gateways`, which are in order of priority, one whose bit in `tried` is clear: its position.
///
/// Gateways that are up or due for a trial come first, the rest only when there is none. `random` decides within one
/// priority: each gateway gets its share of all weights there, exactly, for any weights from 1 to 65,535.
#[inline]
pub(crate) fn choose(
    gateways: impl Iterator<Item = GatewayView>,
    tried: u64,
    fitness: impl Fn(&GatewayView) -> Fitness,
    random: u64,
) -> Option<usize> {
    let (mut fit, mut unfit) = (Draw::new(random), Draw::new(random));
    for gateway in gateways.filter(|gateway| (tried >> gateway.position) & 1 == 0) {
        if fit.is_past(&gateway) {
            break;
        }
        let draw = if fitness(&gateway) == Fitness::Down { &mut unfit } else { &mut fit };
        draw.offer(&gateway);
    }
    fit.chosen().or(unfit.chosen())
}

/// One drawn by weight from the first priority that is offered, in one pass: each newcomer replaces the one chosen so
/// far with the probability of its share of all weights so far, so that in the end each was as likely as its weight.
struct Draw {
    random: u64,
    /// Of all weights; 0 before the first is offered.
    total: u64,
    priority: u16,
    position: usize,
}

impl Draw {
    fn new(random: u64) -> Draw {
        Draw { random, total: 0, priority: 0, position: 0 }
    }

    /// Whether this one is of a later priority.
    #[inline]
    fn is_past(&self, gateway: &GatewayView) -> bool {
        self.total > 0 && self.priority != gateway.priority
    }

    #[inline]
    fn offer(&mut self, gateway: &GatewayView) {
        if self.is_past(gateway) {
            return;
        }
        let weight = u64::from(gateway.weight.max(1));
        if self.total == 0 {
            (self.priority, self.position) = (gateway.priority, gateway.position);
        } else {
            self.random = next(self.random);
            let point = u128::from(self.random) * u128::from(self.total + weight);
            // Nobody can guess a draw, a processor neither.
            let replaces = ((point >> 64) as u64) < weight;
            self.position = select_unpredictable(replaces, gateway.position, self.position);
        }
        self.total += weight;
    }

    fn chosen(&self) -> Option<usize> {
        (self.total > 0).then_some(self.position)
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
