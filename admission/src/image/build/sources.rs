//! Prefixes: each trunk's own list, and the node's map from prefix to whoever lists it.

use super::super::keys::{MAP4_VALUE_BITS, map4_key, near_source, prefix6_hash, prefix6_words, set4_key};
use super::super::layout::*;
use super::super::prefix::Prefix;
use super::draft::Draft;
use crate::model::{MAX_LIVE_INDEX, Trunk};

/// Who lists a prefix: how many trunks, and the exclusive-or of their `live` indexes, which for one is that index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners {
    pub(crate) count: u32,
    pub(crate) combined: u32,
}

impl Owners {
    pub(crate) fn add(&mut self, live: u32) {
        self.count += 1;
        self.combined ^= live;
    }

    /// Takes out a trunk that was added before.
    pub(crate) fn remove(&mut self, live: u32) {
        self.count = self.count.saturating_sub(1);
        self.combined ^= live;
    }

    fn value(self) -> u64 {
        match self.count {
            0 => VALUE_DELETED,
            1 => VALUE_LIVE + u64::from(self.combined),
            _ => VALUE_AMBIGUOUS,
        }
    }
}

/// Calls `each` with every prefix of a trunk once, host bits cleared, in order.
pub(crate) fn distinct_prefixes(trunk: &Trunk, mut each: impl FnMut(Prefix)) {
    match trunk.sources.as_slice() {
        [] => {}
        [one] => each(Prefix::from(*one)),
        many => {
            let mut prefixes: Vec<Prefix> = many.iter().map(|&net| Prefix::from(net)).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            prefixes.into_iter().for_each(each);
        }
    }
}

/// Every `(prefix, live)` of a whole table, to be sorted: an order of magnitude faster than a map of a million prefixes.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Address, length and `live` in one word, from the top.
    v4: Vec<u64>,
    v6: Vec<(u128, u8, u32)>,
}

const LIVE_BITS: u32 = MAX_LIVE_INDEX.count_ones();

impl Listed {
    /// `live` is at most [`MAX_LIVE_INDEX`], or the image is refused anyway.
    pub(super) fn push(&mut self, prefix: Prefix, live: u32) {
        match prefix {
            Prefix::V4(address, length) => {
                self.v4.push(map4_key(address, length) << LIVE_BITS | u64::from(live & MAX_LIVE_INDEX));
            }
            Prefix::V6(address, length) => self.v6.push((address, length, live)),
        }
    }

    /// Calls `each` with every distinct prefix and its owners, in order.
    pub(super) fn owners(mut self, mut each: impl FnMut(Prefix, Owners)) {
        self.v4.sort_unstable();
        for same in self.v4.chunk_by(|a, b| a >> LIVE_BITS == b >> LIVE_BITS) {
            let key = same[0] >> LIVE_BITS;
            let mut owners = Owners::default();
            same.iter().for_each(|word| owners.add(*word as u32 & MAX_LIVE_INDEX));
            each(Prefix::V4((key >> 6) as u32, (key & 0x3f) as u8), owners);
        }
        self.v6.sort_unstable();
        for same in self.v6.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (address, length, _) = same[0];
            let mut owners = Owners::default();
            same.iter().for_each(|&(_, _, live)| owners.add(live));
            each(Prefix::V6(address, length), owners);
        }
    }
}

impl Draft<'_> {
    /// A trunk's own list: few IPv4 prefixes are appended to its block, for many the answer is `true` and they are looked up.
    pub(super) fn trunk_prefixes(&mut self, live: u32, prefixes: &[Prefix], block: &mut Vec<u64>) -> bool {
        let far = prefixes.iter().filter(|prefix| matches!(prefix, Prefix::V4(..))).count() > NEAR_SOURCES;
        for &prefix in prefixes {
            match prefix {
                Prefix::V4(address, length) if far => {
                    let key = set4_key(u64::from(live & MAX_LIVE_INDEX), address, length);
                    self.bucket(Section::Set4, self.keys.word(key), key);
                }
                Prefix::V4(address, length) => block.push(near_source(address, length)),
                Prefix::V6(address, length) => self.prefix6(prefix6_words(address, length, Some(live)), 0),
            }
        }
        far
    }

    /// One entry of the node's map from prefix to trunk.
    pub(super) fn source(&mut self, prefix: Prefix, owners: Owners) {
        self.lengths.insert(prefix);
        match prefix {
            Prefix::V4(address, length) => {
                let key = map4_key(address, length);
                let word = key << MAP4_VALUE_BITS | owners.value();
                self.bucket(Section::Map4, self.keys.word(key), word);
            }
            Prefix::V6(address, length) => self.prefix6(prefix6_words(address, length, None), owners.value()),
        }
    }

    fn prefix6(&mut self, key: [u64; 3], value: u64) {
        let entry = self.entries(Section::Prefixes6, V6_WORDS);
        self.section(Section::Prefixes6).extend([key[0], key[1], key[2] | value << 8]);
        let hash = prefix6_hash(self.keys, key);
        self.index(Section::Index6, hash, entry);
    }
}
