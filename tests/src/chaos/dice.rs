//! Chance that can be had again: the same seed gives the same numbers.
//!
//! It must never take anything from the clock or the machine.

use std::ops::Range;

/// A sequence of numbers (SplitMix64, by Steele, Lea and Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number of a range that is not empty.
    pub fn of(&mut self, range: Range<u32>) -> u32 {
        let size = u64::from(range.end - range.start);
        range.start + u32::try_from(self.next() % size).unwrap_or(0)
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: u32) -> bool {
        self.of(0..times) == 0
    }

    /// One of several.
    ///
    /// # Panics
    /// There is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let count = u32::try_from(from.len()).expect("a short list");
        &from[self.of(0..count) as usize]
    }

    /// A seed for another sequence.
    pub fn seed(&mut self) -> u64 {
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        let roll = |seed| {
            let mut dice = Dice::new(seed);
            (0..20).map(|_| dice.of(5..15)).collect::<Vec<_>>()
        };
        assert_eq!(roll(1), roll(1));
        assert_ne!(roll(1), roll(2));
        assert!(roll(3).iter().all(|number| (5..15).contains(number)));
    }
}
