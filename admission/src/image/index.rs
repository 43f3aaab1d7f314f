//! Open-addressed hash tables, built once, searched with a stated bound.
//!
//! Two kinds: an *index*, whose bucket is `fingerprint << 32 | entry + 1`, for keys that stand elsewhere; and a *keyed*
//! table, whose bucket holds the key itself above its value. An empty bucket is 0. No search runs longer than
//! [`MAX_PROBES`]: the builder makes sure of it, the reader does not rely on it.

use crate::map::Words;

/// Most buckets a search may look at.
pub(super) const MAX_PROBES: usize = 128;

/// Buckets for so many keys: a load of at most 5/8.
fn buckets_for(keys: usize) -> usize {
    if keys == 0 { 0 } else { (keys * 8).div_ceil(5).max(4) }
}

#[inline]
fn first_bucket(hash: u64, buckets: usize) -> usize {
    (((hash & 0xffff_ffff) * buckets as u64) >> 32) as usize
}

#[inline]
fn next_bucket(bucket: usize, buckets: usize) -> usize {
    if bucket + 1 == buckets { 0 } else { bucket + 1 }
}

/// Entries whose key hashes to `hash`: each a candidate that the caller compares.
#[inline]
pub(super) fn candidates(table: Words<'_>, hash: u64) -> impl Iterator<Item = usize> + '_ {
    probe(table, hash).filter(move |word| word >> 32 == hash >> 32).filter_map(entry_of)
}

/// The value stored with `key` in a keyed table; buckets are `key << value_bits | value`, never 0.
#[inline]
pub(super) fn keyed(table: Words<'_>, hash: u64, key: u64, value_bits: u32) -> Option<u64> {
    probe(table, hash).find(|word| word >> value_bits == key).map(|word| word & ((1 << value_bits) - 1))
}

/// The buckets from the first for `hash` up to an empty one.
#[inline]
fn probe(table: Words<'_>, hash: u64) -> impl Iterator<Item = u64> + '_ {
    let buckets = table.len();
    let mut bucket = first_bucket(hash, buckets);
    (0..MAX_PROBES.min(buckets))
        .map(move |_| {
            let word = table.at(bucket);
            bucket = next_bucket(bucket, buckets);
            word
        })
        .take_while(|&word| word != 0)
}

/// What [`build`] made.
pub(super) struct Built {
    /// The table; `None` when no size kept every search within the bound.
    pub(super) table: Option<Vec<u64>>,
    /// Of an index: entries with one fingerprint that met in a search. Whoever can compare their keys finds doubles here.
    pub(super) suspects: Vec<(usize, usize)>,
}

/// Builds a table of `(hash, bucket word)` pairs; bigger and bigger until no search is longer than the bound.
pub(super) fn build(pairs: &[(u64, u64)], index: bool) -> Built {
    let mut buckets = buckets_for(pairs.len());
    let mut suspects = Vec::new();
    for _ in 0..4 {
        suspects.clear();
        if let Some(table) = try_build(pairs, buckets, index.then_some(&mut suspects)) {
            return Built { table: Some(table), suspects };
        }
        buckets *= 2;
    }
    Built { table: None, suspects }
}

fn try_build(
    pairs: &[(u64, u64)],
    buckets: usize,
    mut suspects: Option<&mut Vec<(usize, usize)>>,
) -> Option<Vec<u64>> {
    let mut table = vec![0; buckets];
    for &(hash, word) in pairs {
        let mut bucket = first_bucket(hash, buckets);
        let mut probes = 1;
        while table[bucket] != 0 {
            if let Some(suspects) = &mut suspects
                && table[bucket] >> 32 == word >> 32
            {
                suspects.extend(entry_of(word).zip(entry_of(table[bucket])));
            }
            // One short of the bound, so that a miss also finds an empty bucket within it.
            if probes + 1 >= MAX_PROBES {
                return None;
            }
            bucket = next_bucket(bucket, buckets);
            probes += 1;
        }
        table[bucket] = word;
    }
    Some(table)
}

/// The bucket word of an index.
pub(super) fn entry_word(hash: u64, entry: usize) -> u64 {
    hash & 0xffff_ffff_0000_0000 | (entry as u64 + 1)
}

/// The entry that a bucket word names; `None` of an empty one.
#[inline]
pub(super) fn entry_of(word: u64) -> Option<usize> {
    (word as u32).checked_sub(1).map(|entry| entry as usize)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::AtomicU64;

    #[test]
    fn a_search_finds_all_of_a_fingerprint_in_order_and_stops_at_an_empty_bucket() {
        let hash = |place: u64| (7 << 32) | ((place << 32) / 6 + 1);
        let (mine, other) = (|entry| entry_word(hash(0), entry), |entry| entry_word(8 << 32, entry));
        // It begins in the fifth of six buckets and goes on past the end; what stands behind the empty one is another search's.
        let words = [mine(30), other(40), 0, mine(50), mine(10), other(20)].map(AtomicU64::new);
        let search = |place| -> Vec<usize> { candidates(Words::new(&words), hash(place)).collect() };
        assert_eq!(search(4), [10, 30]);
        assert_eq!(search(5), [30]);
        assert_eq!(search(3), [50, 10, 30]);
        assert_eq!(search(2), []);
        let full = [const { 7 << 32 | 2 }; MAX_PROBES + 5].map(AtomicU64::new);
        let found = |words| candidates(Words::new(words), hash(0)).count();
        assert_eq!(found(&full), MAX_PROBES, "a full table has an end too");
        assert_eq!(found(&[]), 0, "less than a bucket");
    }
}
