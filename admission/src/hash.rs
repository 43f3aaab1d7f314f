//! Keyed hashes for the look-up tables and check sums for what is written.
//!
//! Keys are random for each `live` file and each base image, whose overlays share them, so that nobody who chooses a Call-ID,
//! a user name or a prefix can choose its bucket.
//! The check sum finds damage, not malice.

use siphasher::sip::SipHasher13;
use siphasher::sip128::SipHasher13 as SipHasher128;

/// The two secret words of a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys(pub(crate) u64, pub(crate) u64);

/// What a key stands for; the same bytes hash differently in each space.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Space {
    User = 2,
    Credential = 3,
    Tag = 4,
    Source = 5,
}

impl Keys {
    /// Hash of a byte string in one space (SipHash-1-3).
    #[inline]
    pub(crate) fn bytes(self, space: Space, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0 ^ space as u64, self.1).hash(bytes)
    }

    /// Hash of a name's words and its length in bytes. Only names that the publisher chose are ever stored by it, so nobody can crowd a
    /// bucket: a fold for each word is enough.
    #[inline]
    pub(crate) fn name(self, words: &[u64], length: usize) -> u64 {
        let (last, whole) = words.split_last().unwrap_or((&0, &[]));
        let begun = self.0 ^ length as u64;
        let hash = whole.iter().fold(begun, |hash, word| fold(hash ^ word, 0x9e37_79b9_7f4a_7c15));
        fold(hash ^ last, self.1 | 1)
    }

    /// Hash of a digest user of a trunk.
    #[inline]
    pub(crate) fn credential(self, trunk: u32, username: &[u8]) -> u64 {
        self.pair(self.bytes(Space::Credential, username), u64::from(trunk))
    }

    /// Hash of a call in 128 bits: SipHash-1-3-128 of its Call-ID, and over it a keyed hash of its tag and number. Two
    /// calls meet only if both halves agree, and nobody outside can see any of them.
    #[inline]
    pub(crate) fn call(self, call_id: &[u8], from_tag: &[u8], cseq: u32) -> [u64; 2] {
        self.call_of(self.call_id(call_id), from_tag, cseq)
    }

    /// The first part of [`Keys::call`], and the longer one.
    #[inline]
    pub(crate) fn call_id(self, call_id: &[u8]) -> [u64; 2] {
        let call = SipHasher128::new_with_keys(self.0, self.1).hash(call_id);
        [call.h1, call.h2]
    }

    /// The second part of [`Keys::call`].
    #[inline]
    pub(crate) fn call_of(self, [h1, h2]: [u64; 2], from_tag: &[u8], cseq: u32) -> [u64; 2] {
        let tag = self.word(self.bytes(Space::Tag, from_tag) ^ u64::from(cseq));
        [h1 ^ tag, h2 ^ tag.rotate_left(32)]
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

/// Check sum of many words; four lanes keep it at memory speed.
pub(crate) struct CheckSum;

impl CheckSum {
    /// The sum of all these words, in order.
    pub(crate) fn of(words: impl IntoIterator<Item = u64>) -> u64 {
        let mut words = words.into_iter();
        let mut lanes = [1_u64, 2, 3, 4];
        let mut count = 0_u64;
        loop {
            for lane in &mut lanes {
                let Some(word) = words.next() else {
                    return lanes.iter().fold(count, |sum, &lane| fold(sum ^ lane, 0xd6e8_feb8_6659_fd93));
                };
                // Odd multiplier and rotation: one to one for each word, so any single change shows.
                *lane = (*lane ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
                count += 1;
            }
        }
    }
}

/// Check sum of a record: one rotation and one addition a word, in two lanes that do not wait for each other.
#[derive(Clone, Copy)]
pub(crate) struct RecordSum {
    /// The lane of the next word, and that of the one after it.
    lanes: [u64; 2],
}

impl RecordSum {
    /// Of no words yet.
    #[inline]
    pub(crate) fn new(seed: u64) -> RecordSum {
        RecordSum { lanes: [seed ^ 0x9e37_79b9_7f4a_7c15, 1] }
    }

    #[inline]
    pub(crate) fn add(&mut self, word: u64) {
        let [lane, next] = self.lanes;
        self.lanes = [next, lane.rotate_left(11).wrapping_add(word)];
    }

    /// The sum of what was added: so many words.
    #[inline]
    pub(crate) fn finish(self, count: usize) -> u32 {
        let [next, other] = self.lanes;
        let [even, odd] = if count.is_multiple_of(2) { [next, other] } else { [other, !next] };
        (fold(fold(even, 0x9e37_79b9_7f4a_7c15) ^ odd, 0xd6e8_feb8_6659_fd93) >> 16) as u32
    }
}

/// [`RecordSum`] of all these words.
#[inline]
pub(crate) fn record_sum(seed: u64, words: impl IntoIterator<Item = u64>) -> u32 {
    let mut sum = RecordSum::new(seed);
    let mut count = 0;
    for word in words {
        sum.add(word);
        count += 1;
    }
    sum.finish(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys(11, 22);

    #[test]
    fn spaces_never_meet_and_every_part_of_a_call_counts() {
        assert_ne!(KEYS.bytes(Space::User, b"ab"), KEYS.bytes(Space::Tag, b"ab"));
        assert_ne!(KEYS.credential(1, b"ab"), KEYS.credential(2, b"ab"));
        let calls = [
            KEYS.call(b"id", b"tag", 1),
            KEYS.call(b"id", b"tag", 2),
            KEYS.call(b"id", b"tah", 1),
            KEYS.call(b"ie", b"tag", 1),
            KEYS.call(b"idtag", b"", 1),
        ];
        for (index, call) in calls.iter().enumerate() {
            assert!(calls[..index].iter().all(|other| other[0] != call[0] && other[1] != call[1]));
        }
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

    #[test]
    fn a_record_sum_notices_every_flipped_bit() {
        let sum_of = |words: &[u64]| record_sum(5, words.iter().copied());
        let words: Vec<u64> = (0..64).map(|n| n * 77).collect();
        for index in 0..words.len() {
            for bit in 0..64 {
                let mut damaged = words.clone();
                damaged[index] ^= 1 << bit;
                assert_ne!(sum_of(&damaged), sum_of(&words), "word {index} bit {bit}");
            }
        }
        assert_ne!(sum_of(&words[..63]), sum_of(&words));
        // Records that an older version has written are read by a newer one.
        assert_eq!([sum_of(&words), sum_of(&words[..63])], [2_443_300_524, 1_197_775_987]);
        assert_ne!(sum_of(&words[..63]), sum_of(&words[..62]));
    }
}
