//! Keys of the look-up tables: what the builder hashes, and the reader too. One definition for both sides.

use super::layout::{halves, high, low};
use crate::hash::Keys;

pub(super) const MAP4_VALUE_BITS: u32 = 26;
/// Where the value stands in the last word of an IPv6 prefix of the node's map; the length is below it.
pub(super) const PREFIX6_VALUE: u64 = 0xffff_ffff << 8;
/// Set in the last word of an IPv6 prefix of a trunk's own list.
const PREFIX6_OF_TRUNK: u64 = 1 << 63;

/// Key of a trunk's IPv4 prefix; its top bit keeps it from being 0.
#[inline]
pub(super) fn set4_key(live: u64, address: u32, length: u8) -> u64 {
    1 << 62 | live << 38 | u64::from(address) << 6 | u64::from(length)
}

/// An IPv4 prefix that stands behind its trunk's record: its address, and the bits of a host. So a word that is 0, as whatever was
/// lost reads, holds no address that anybody has.
pub(super) fn near_source(address: u32, length: u8) -> u64 {
    halves(address, u32::MAX.checked_shr(length.into()).unwrap_or(0))
}

/// Whether that prefix, host bits cleared when it was written, holds an address.
#[inline]
pub(super) fn holds(near: u64, address: u32) -> bool {
    (address ^ high(near)) & !low(near) == 0
}

/// Key of an IPv4 prefix of the node's map.
#[inline]
pub(super) fn map4_key(address: u32, length: u8) -> u64 {
    u64::from(address) << 6 | u64::from(length)
}

/// The three words of an IPv6 prefix: of a trunk's list, or of the node's map with its value still 0.
pub(super) fn prefix6_words(address: u128, length: u8, trunk: Option<u32>) -> [u64; 3] {
    let last = trunk.map_or(0, |live| PREFIX6_OF_TRUNK | u64::from(live) << 8);
    [(address >> 64) as u64, address as u64, last | u64::from(length)]
}

pub(super) fn prefix6_hash(keys: Keys, words: [u64; 3]) -> u64 {
    keys.pair(keys.pair(words[0], words[1]), words[2])
}

pub(super) fn credential_hash(keys: Keys, live: u32, username: &[u8]) -> u64 {
    keys.credential(live, username)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::prefix::Prefix;

    #[test]
    fn a_near_prefix_holds_what_its_bits_say_and_a_lost_one_nothing() {
        let address = 0xc0a8_5a5a;
        for length in 0..=32 {
            let Prefix::V4(network, _) = Prefix::v4(address, length) else { continue };
            let near = near_source(network, length);
            assert!(holds(near, address), "/{length}");
            for bit in 0..32 {
                let inside = bit < 32 - u32::from(length);
                assert_eq!(holds(near, address ^ 1 << bit), inside, "/{length} bit {bit}");
                assert!(!holds(0, 1 << bit));
            }
        }
    }
}
