//! Where the block of a host's trunk stands: computed, not looked up, so that it is on its way from memory at once.
//!
//! A perfect hash (hash, displace and compress: Belazzougui, Botelho and Dietzfelbinger, ESA 2009). Hashes fall into small buckets; each
//! bucket has a pilot, a number that was tried until all hashes of the bucket had places that nobody else had. The pilots of 100,000
//! hosts are 33 KiB, which stay near where an index would not. Every hash leads to some place, one that was never placed too: whoever
//! reads what stands there compares. Must never answer a place beyond the last one, whatever the pilots are.

use super::layout::PILOT_BITS;
use crate::map::Words;

/// Pilots in a word.
const IN_WORD: usize = (u64::BITS / PILOT_BITS) as usize;
/// Hashes in a bucket, on average: with more of them there are fewer pilots, and finding them takes longer.
const IN_BUCKET: usize = 6;
/// Of so many places one is left empty: with fewer, finding pilots takes longer.
const ONE_EMPTY_OF: usize = 20;

/// The place of a hash among `places`, by the pilots in a section; 0 when there are none.
#[inline]
pub(super) fn place_of(pilots: Words<'_>, places: usize, hash: u64) -> usize {
    let bucket = bucket_of(hash, pilots.len() * IN_WORD);
    let pilot = pilots.at(bucket / IN_WORD) >> shift_of(bucket);
    place_by(pilot & ((1 << PILOT_BITS) - 1), places, hash)
}

#[inline]
fn bucket_of(hash: u64, buckets: usize) -> usize {
    // However many buckets a file claims.
    ((u128::from(hash << 32) * buckets as u128) >> 64) as usize
}

/// How far up in its word a bucket's pilot stands.
#[inline]
fn shift_of(bucket: usize) -> usize {
    bucket % IN_WORD * PILOT_BITS as usize
}

#[inline]
fn place_by(pilot: u64, places: usize, hash: u64) -> usize {
    let mixed = (hash ^ pilot.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (((mixed >> 32) * places as u64) >> 32) as usize
}

/// What [`place`] found.
#[derive(Debug)]
pub(super) struct Placed {
    /// The section of pilots.
    pub(super) pilots: Vec<u64>,
    /// How many places there are.
    pub(super) places: usize,
    /// The place of each hash.
    pub(super) of: Vec<u32>,
}

/// Finds a place for each hash: keyed ones, of which no bucket has many more than others. Or tells which of them are the same as an
/// earlier one, because two have only one place; none if there is no other reason than bad luck.
pub(super) fn place(hashes: &[u64]) -> Result<Placed, Vec<(usize, usize)>> {
    let buckets = hashes.len().div_ceil(IN_BUCKET * IN_WORD) * IN_WORD;
    let hash = |member: u32| hashes[member as usize];
    let bucket = |member: u32| bucket_of(hash(member), buckets);
    let mut members: Vec<u32> = (0..hashes.len() as u32).collect();
    members.sort_unstable_by_key(|&member| (bucket(member), hash(member), member));
    let pairs = members.windows(2).filter(|pair| hash(pair[0]) == hash(pair[1]));
    let same: Vec<(usize, usize)> = pairs.map(|pair| (pair[1] as usize, pair[0] as usize)).collect();
    if !same.is_empty() {
        return Err(same);
    }
    // The fullest first, while there is most room.
    let mut crowds: Vec<&[u32]> = members.chunk_by(|&a, &b| bucket(a) == bucket(b)).collect();
    crowds.sort_by_key(|crowd| std::cmp::Reverse(crowd.len()));
    let mut places = hashes.len() + hashes.len() / (ONE_EMPTY_OF - 1);
    for _ in 0..8 {
        if let Some(found) = try_place(hashes, &crowds, buckets, places) {
            return Ok(found);
        }
        places += places / 8 + 1;
    }
    Err(Vec::new())
}

fn try_place(hashes: &[u64], crowds: &[&[u32]], buckets: usize, places: usize) -> Option<Placed> {
    let (mut pilots, mut of) = (vec![0; buckets / IN_WORD], vec![0; hashes.len()]);
    let mut taken = vec![false; places];
    for crowd in crowds {
        let place = |pilot, member: u32| place_by(pilot, places, hashes[member as usize]);
        let mut takes = |pilot: u64| {
            let free = |&&member: &&u32| !std::mem::replace(&mut taken[place(pilot, member)], true);
            let found = crowd.iter().take_while(free).count();
            if found < crowd.len() {
                crowd[..found].iter().for_each(|&member| taken[place(pilot, member)] = false);
            }
            found == crowd.len()
        };
        let pilot = (0..1 << PILOT_BITS).find(|&pilot| takes(pilot))?;
        crowd.iter().for_each(|&member| of[member as usize] = place(pilot, member) as u32);
        let bucket = bucket_of(hashes[crowd[0] as usize], buckets);
        pilots[bucket / IN_WORD] |= pilot << shift_of(bucket);
    }
    Some(Placed { pilots, places, of })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::hash::Keys;
    use crate::sync::AtomicU64;

    fn found(placed: &Placed, hash: u64) -> usize {
        let words: Vec<AtomicU64> = placed.pilots.iter().copied().map(AtomicU64::new).collect();
        place_of(Words::new(&words), placed.places, hash)
    }

    #[test]
    fn each_of_many_has_a_place_of_its_own_and_few_places_are_empty() {
        for count in [1, 2, 23, 24, 25, 5_000, 100_000] {
            let hashes: Vec<u64> = (0..count).map(|n| Keys(7, 8).word(n)).collect();
            let placed = place(&hashes).unwrap();
            let words: Vec<AtomicU64> = placed.pilots.iter().copied().map(AtomicU64::new).collect();
            let mut places = HashSet::new();
            for (&hash, &place) in hashes.iter().zip(&placed.of) {
                assert_eq!(place_of(Words::new(&words), placed.places, hash), place as usize);
                assert!(places.insert(place) && (place as usize) < placed.places);
            }
            assert!(placed.places <= hashes.len() * 20 / 19 + 4, "{count}: {} places", placed.places);
        }
    }

    #[test]
    fn no_hashes_have_no_places_and_a_look_up_finds_the_first() {
        let placed = place(&[]).unwrap();
        assert_eq!((placed.places, placed.pilots.len()), (0, 0));
        assert_eq!(found(&placed, u64::MAX), 0);
    }

    #[test]
    fn no_bucket_lies_beyond_the_last_one_however_many_a_file_claims() {
        for buckets in [1, 4, 1 << 31, (1 << 32) - 4, 1 << 34, usize::MAX] {
            assert!(bucket_of(u64::MAX, buckets) < buckets && bucket_of(0xffff_ffff, buckets) < buckets);
            assert_eq!(bucket_of(!0xffff_ffff, buckets), 0);
        }
    }

    #[test]
    fn hashes_that_are_the_same_are_named() {
        let mut hashes: Vec<u64> = (0..100).map(|n| Keys(1, 2).word(n)).collect();
        hashes[70] = hashes[3];
        assert_eq!(place(&hashes).unwrap_err(), [(70, 3)]);
    }

    proptest! {
        #[test]
        fn no_pilot_leads_beyond_the_last_place(words in prop::collection::vec(any::<u64>(), 0..9), places in 0..70_usize, hash: u64) {
            let words: Vec<AtomicU64> = words.into_iter().map(AtomicU64::new).collect();
            let place = place_of(Words::new(&words), places, hash);
            prop_assert!(place < places.max(1));
        }

        #[test]
        fn hashes_that_differ_have_places_that_differ(keys: (u64, u64), count in 0..200_u64) {
            let hashes: Vec<u64> = (0..count).map(|n| Keys(keys.0, keys.1).word(n)).collect();
            prop_assume!(hashes.iter().collect::<HashSet<_>>().len() == hashes.len());
            let placed = place(&hashes).unwrap();
            let places: HashSet<u32> = placed.of.iter().copied().collect();
            prop_assert_eq!(places.len(), hashes.len());
            for (&hash, &place) in hashes.iter().zip(&placed.of) {
                prop_assert_eq!(found(&placed, hash), place as usize);
            }
        }
    }
}
