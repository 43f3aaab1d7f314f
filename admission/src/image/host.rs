//! A host name of a message, folded into words once and compared word by word.
//!
//! Must never take bytes of a message for more than they are: what is too long for any image is nobody's.

use core::cell::Cell;
use core::fmt;

use super::text::MAX_TEXT;
use crate::bytes::words_of;
use crate::hash::Keys;
use crate::map::{WORD, Words};

/// A host name as it is looked up: in lower case (RFC 3261 section 19.1.4), on the stack, padded with zeros. One that is longer than
/// any string of an image is nobody's, and so is the empty one that stands for it.
#[derive(Clone)]
pub struct Host {
    words: [u64; HOST_WORDS],
    length: usize,
    /// Its hash, and by which keys: it is asked for more than once, by the same ones.
    hashed: Cell<(Keys, u64)>,
}

/// Keys that nothing has been hashed by.
const NO_KEYS: Keys = Keys(0, 0);

impl PartialEq for Host {
    fn eq(&self, other: &Host) -> bool {
        self.length == other.length && self.words() == other.words()
    }
}

/// Room for the longest string and a zero after it.
const HOST_WORDS: usize = (MAX_TEXT + 1).div_ceil(WORD);

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> =
            self.words.iter().flat_map(|word| word.to_le_bytes()).take(self.length).collect();
        write!(f, "\"{}\"", bytes.escape_ascii())
    }
}

impl Host {
    /// Nobody's.
    #[inline]
    pub const fn empty() -> Host {
        Host { words: [0; HOST_WORDS], length: 0, hashed: Cell::new((NO_KEYS, 0)) }
    }

    /// From the bytes of a message.
    pub fn new(host: &[u8]) -> Host {
        let mut folded = Host::empty();
        folded.set(host);
        folded
    }

    /// The same in its place: on the way of every call, where a copy of its 256 bytes would be waited for.
    #[inline]
    pub fn set(&mut self, host: &[u8]) {
        if self.length != 0 {
            *self = Host::empty();
        }
        let host = if host.len() > MAX_TEXT { &[] } else { host };
        let (whole, last) = words_of(host);
        for (folded, chunk) in self.words.iter_mut().zip(whole) {
            *folded = lower_case(u64::from_le_bytes(*chunk));
        }
        if let (Some(folded), Some(last)) = (self.words.get_mut(whole.len()), last) {
            *folded = lower_case(last);
        }
        self.length = host.len();
        self.hashed.set((NO_KEYS, 0));
    }

    /// Whether it is nobody's.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Its words: the last one, which may be empty, is padded with zeros.
    #[inline]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..self.length / WORD + 1]
    }

    /// Its hash by these keys. It is in lower case already (RFC 3261 section 19.1.4: hosts compare without case).
    #[inline]
    pub(super) fn hash(&self, keys: Keys) -> u64 {
        let (by, hash) = self.hashed.get();
        if by == keys && by != NO_KEYS {
            return hash;
        }
        let hash = keys.name(self.words(), self.length);
        self.hashed.set((keys, hash));
        hash
    }

    /// Eight of its bytes from anywhere; zeros beyond the end.
    #[inline]
    fn word_at(&self, byte: usize) -> u64 {
        let word = |index: usize| self.words.get(index).copied().unwrap_or(0);
        let shift = (byte % WORD * 8) as u32;
        let low = word(byte / WORD) >> shift;
        if shift == 0 { low } else { low | word(byte / WORD + 1) << (64 - shift) }
    }

    /// Whether its end, from that byte on, is these words, padded with zeros.
    #[inline]
    pub(super) fn ends_with(&self, words: &[u64], from: usize) -> bool {
        words.iter().enumerate().all(|(index, word)| self.word_at(from + index * WORD) == *word)
    }

    /// Whether its first `length` bytes are these words, padded with zeros.
    #[inline]
    pub(super) fn begins_with(&self, words: Words<'_>, length: usize) -> bool {
        let (whole, rest) = (length / WORD, (length % WORD * 8) as u32);
        let ours = |index: usize| self.words.get(index).copied().unwrap_or(0);
        words.len() >= length.div_ceil(WORD)
            && (0..whole).all(|index| words.at(index) == ours(index))
            && (rest == 0 || words.at(whole) == ours(whole) & !(u64::MAX << rest))
    }
}

/// Eight bytes with `A` to `Z` made small, at once: what is not ASCII stays.
#[inline]
const fn lower_case(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const TOP: u64 = 0x80 * EACH;
    let ascii = word & !TOP;
    // Adding carries into a byte's top bit where it is at least the bound; without the top bits nothing carries further.
    let from_a = ascii.wrapping_add((0x80 - b'A' as u64) * EACH);
    let past_z = ascii.wrapping_add((0x80 - b'Z' as u64 - 1) * EACH);
    let capital = from_a & !past_z & !word & TOP;
    word | capital >> 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::word_of;
    use crate::sync::AtomicU64;

    #[test]
    fn a_host_is_in_lower_case_and_nothing_else_of_it_changes() {
        for byte in 0..=u8::MAX {
            // Beside every other byte, so that a carry would show.
            let word = [byte, b'A', byte, 0xff, b'Z', byte, b'[', byte];
            let host = Host::new(&word);
            assert_eq!(host.words[0].to_le_bytes(), word.map(|byte| byte.to_ascii_lowercase()), "{byte}");
            assert_eq!((host.words[1], host.len(), host.words().len()), (0, 8, 2));
        }
    }

    #[test]
    fn a_host_that_is_set_anew_is_as_one_made_anew_whoever_hashed_it_before() {
        let keys = [Keys(1, 2), NO_KEYS, Keys(1, 3), Keys(1, 2)];
        let mut host = Host::empty();
        for length in [40, 3, 0, 5, MAX_TEXT, MAX_TEXT + 1, 8, 7] {
            host.set(&name(length));
            let fresh = Host::new(&name(length));
            assert_eq!((host.words, host.len()), (fresh.words, fresh.len()), "{length}");
            assert!(host == fresh);
            for keys in keys {
                let wanted = keys.name(fresh.words(), fresh.len());
                assert_eq!([host.hash(keys), host.hash(keys)], [wanted; 2], "{length}");
            }
        }
        assert!(Host::new(b"a") != Host::new(b"a\0"), "a zero is a byte like any other");
    }

    fn name(length: usize) -> Vec<u8> {
        (0..length).map(|n| b'a' + (n % 23) as u8).collect()
    }

    #[test]
    fn a_host_ends_with_its_end_and_with_nothing_like_it() {
        for length in (0..48).chain([MAX_TEXT - 1, MAX_TEXT]) {
            let name = name(length);
            let host = Host::new(&name);
            assert_eq!((host.len(), host.is_empty()), (length, length == 0));
            for from in 0..=length {
                assert!(host.ends_with(Host::new(&name[from..]).words(), from), "{length} from {from}");
                for other in from..length {
                    let mut end = name[from..].to_vec();
                    end[other - from] ^= 1;
                    let end = Host::new(&end);
                    assert!(!host.ends_with(end.words(), from), "{length} from {from}: {other} is another");
                }
            }
        }
        assert!(Host::new(&[b'a'; MAX_TEXT + 1]).is_empty(), "longer than any name of ours");
        assert_eq!(format!("{:?}", Host::new(b"A.b\"")), "\"a.b\\\"\"");
    }

    #[test]
    fn a_host_begins_with_its_beginning_and_with_nothing_like_it() {
        let name = name(80);
        let host = Host::new(&name);
        for length in 0..=name.len() {
            let words = |beginning: &[u8]| -> Vec<AtomicU64> {
                beginning.chunks(WORD).map(|chunk| AtomicU64::new(word_of(chunk))).collect()
            };
            let right = words(&name[..length]);
            assert!(host.begins_with(Words::new(&right), length), "{length}");
            for other in 0..length {
                let mut wrong = name[..length].to_vec();
                wrong[other] ^= 1;
                assert!(
                    !host.begins_with(Words::new(&words(&wrong)), length),
                    "{length}: {other} is another"
                );
            }
            if let Some((_, cut)) = right.split_last() {
                assert!(!host.begins_with(Words::new(cut), length), "{length}: cut short");
            }
        }
    }
}
