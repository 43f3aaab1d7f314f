//! A host name of a message, folded into words once and compared word by word.
//!
//! Must never take bytes of a message for more than they are: what is too long for any image is nobody's.

use core::fmt;

use super::text::{MAX_TEXT, word_of};
use crate::map::{WORD, Words};

/// A host name as it is looked up: in lower case (RFC 3261 section 19.1.4), on the stack, padded with zeros. One that is longer than
/// any string of an image is nobody's, and so is the empty one that stands for it.
#[derive(Clone, Copy)]
pub struct Host {
    words: [u64; HOST_WORDS],
    length: usize,
}

/// Room for the longest string, and a whole word of zeros after it.
const HOST_WORDS: usize = (MAX_TEXT + 1) / WORD + 1;

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> =
            self.words.iter().flat_map(|word| word.to_le_bytes()).take(self.length).collect();
        write!(f, "\"{}\"", bytes.escape_ascii())
    }
}

impl Host {
    /// From the bytes of a message.
    #[inline]
    pub fn new(host: &[u8]) -> Host {
        let mut folded = Host { words: [0; HOST_WORDS], length: 0 };
        if host.len() > MAX_TEXT {
            return folded;
        }
        let (whole, rest) = host.as_chunks::<WORD>();
        let words = whole.iter().map(|chunk| u64::from_le_bytes(*chunk)).chain([word_of(rest)]);
        for (folded, word) in folded.words.iter_mut().zip(words) {
            *folded = lower_case(word);
        }
        folded.length = host.len();
        folded
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
    pub(super) fn ends_with(&self, words: impl Iterator<Item = u64>, from: usize) -> bool {
        words.enumerate().all(|(index, word)| self.word_at(from + index * WORD) == word)
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
    fn a_host_ends_where_it_ends() {
        for length in 0..=MAX_TEXT {
            let name: Vec<u8> = (0..length).map(|n| b'a' + (n % 23) as u8).collect();
            let host = Host::new(&name);
            assert_eq!((host.len(), host.is_empty()), (length, length == 0));
            for from in 0..=length {
                let end = Host::new(&name[from..]);
                assert!(host.ends_with(end.words().iter().copied(), from), "{length} from {from}");
                let longer = Host::new(&[&name[from..], b"x"].concat());
                assert!(!host.ends_with(longer.words().iter().copied(), from), "{length} from {from}");
            }
        }
        assert!(Host::new(&[b'a'; MAX_TEXT + 1]).is_empty(), "longer than any name of ours");
        assert_eq!(format!("{:?}", Host::new(b"A.b\"")), "\"a.b\\\"\"");
    }
}
