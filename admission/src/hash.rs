//! Keyed hashes for the look-up tables and check sums for what is written.
//!
//! Keys are random per file, so that nobody who chooses a Call-ID, a user name or a prefix can choose its bucket.
//! The check sum finds damage, not malice.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The two secret words of a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys(pub(crate) u64, pub(crate) u64);

/// What a key stands for; the same bytes hash differently in each space.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Space {
    Host = 1,
    User = 2,
    Credential = 3,
    CallHigh = 4,
    CallLow = 5,
}

impl Keys {
    /// Hash of byte strings in one space (SipHash-1-3). Lengths are mixed in, so that no two lists of parts are one.
    #[inline]
    pub(crate) fn bytes(self, space: Space, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write_u8(space as u8);
        for part in parts {
            hasher.write(part);
            hasher.write_u32(part.len() as u32);
        }
        hasher.finish()
    }

    /// Hash of a host name, whose ASCII letters count as lower case (RFC 3261 section 19.1.4).
    #[inline]
    pub(crate) fn host(self, host: &[u8]) -> u64 {
        let mut folded = [0; 256];
        match folded.get_mut(..host.len()) {
            Some(copy) => {
                copy.copy_from_slice(host);
                copy.make_ascii_lowercase();
                self.bytes(Space::Host, &[copy])
            }
            None => 0, // longer than any domain name (RFC 1035): matches nothing
        }
    }

    /// Hash of one word: two rounds of multiply and fold around the keys.
    #[inline]
    pub(crate) fn word(self, word: u64) -> u64 {
        fold(fold(word ^ self.0, 0x9e37_79b9_7f4a_7c15) ^ self.1, 0xd6e8_feb8_6659_fd93)
    }

    /// Hash of two words.
    #[inline]
    pub(crate) fn pair(self, a: u64, b: u64) -> u64 {
        self.word(self.word(a) ^ b)
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// Check sum of words in order; four lanes keep it at memory speed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckSum {
    lanes: [u64; 4],
    count: usize,
}

impl CheckSum {
    pub(crate) fn new() -> CheckSum {
        CheckSum { lanes: [1, 2, 3, 4], count: 0 }
    }

    #[inline]
    pub(crate) fn add(&mut self, word: u64) {
        let lane = &mut self.lanes[self.count % 4];
        // Odd multiplier and rotation: one to one for each word, so any single change shows.
        *lane = (*lane ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.count += 1;
    }

    pub(crate) fn finish(self) -> u64 {
        self.lanes.iter().fold(self.count as u64, |sum, &lane| fold(sum ^ lane, 0xd6e8_feb8_6659_fd93))
    }

    /// The sum of all these words.
    pub(crate) fn of(words: impl IntoIterator<Item = u64>) -> u64 {
        let mut sum = CheckSum::new();
        words.into_iter().for_each(|word| sum.add(word));
        sum.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys(11, 22);

    #[test]
    fn hosts_hash_alike_in_any_case_and_parts_never_run_together() {
        assert_eq!(KEYS.host(b"Edge.SIP.example"), KEYS.host(b"edge.sip.example"));
        assert_ne!(KEYS.host(b"edge.sip.example"), KEYS.host(b"edge.sip.examplf"));
        assert_eq!(KEYS.host(&[b'a'; 300]), 0);
        assert_ne!(KEYS.bytes(Space::User, &[b"ab", b"c"]), KEYS.bytes(Space::User, &[b"a", b"bc"]));
        assert_ne!(KEYS.bytes(Space::User, &[b"ab"]), KEYS.bytes(Space::Host, &[b"ab"]));
    }

    #[test]
    fn a_check_sum_notices_every_flipped_bit_and_every_swap() {
        let words: Vec<u64> = (0..64).map(|n| n * 77).collect();
        let sum = CheckSum::of(words.iter().copied());
        for index in 0..words.len() {
            for bit in 0..64 {
                let mut damaged = words.clone();
                damaged[index] ^= 1 << bit;
                assert_ne!(CheckSum::of(damaged), sum, "word {index} bit {bit}");
            }
        }
        let mut swapped = words.clone();
        swapped.swap(3, 7);
        assert_ne!(CheckSum::of(swapped), sum);
        assert_ne!(CheckSum::of(words[..63].iter().copied()), sum);
    }
}
