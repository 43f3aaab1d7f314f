//! Strings in an image: bytes padded with zeros to whole words, referred to by offset and length.
//!
//! A string is compared in place or copied to a fixed buffer on the stack; it is never longer than 255 bytes.

use core::fmt;

use super::layout::{high, low};
use crate::map::{WORD, Words};

/// Longest string in an image, in bytes.
pub(super) const MAX_TEXT: usize = 255;

/// A copy of a string: at most `ROOM` bytes, no heap.
#[derive(Clone, Copy)]
pub struct Text<const ROOM: usize = MAX_TEXT> {
    bytes: [u8; ROOM],
    length: u8,
}

/// A copy of an id: a DNS label.
pub type Label = Text<{ crate::model::MAX_ID_BYTES }>;

impl<const ROOM: usize> Text<ROOM> {
    /// Nothing.
    pub const EMPTY: Text<ROOM> = Text { bytes: [0; ROOM], length: 0 };

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The bytes as text; ids, domains and gateway URIs always are.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }

    /// What stands before a byte, and what stands behind it; the whole twice if it is not there.
    #[inline]
    pub(crate) fn split(&self, at: u8) -> (&[u8], &[u8]) {
        let whole = self.as_bytes();
        match whole.iter().position(|byte| *byte == at) {
            Some(place) => (&whole[..place], &whole[place + 1..]),
            None => (whole, whole),
        }
    }

    /// From padded words.
    #[inline]
    pub(super) fn of<const N: usize>(words: &[u64; N], length: usize) -> Text<ROOM> {
        let mut text = Text::EMPTY;
        let length = length.min(N * WORD).min(ROOM);
        for (chunk, word) in text.bytes.chunks_mut(WORD).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        text.length = length as u8;
        text
    }

    /// Appends as much as fits.
    pub fn push(&mut self, more: &[u8]) {
        let from = usize::from(self.length);
        let count = more.len().min(ROOM - from);
        self.bytes[from..from + count].copy_from_slice(&more[..count]);
        self.length = (from + count) as u8;
    }
}

impl<const ROOM: usize> fmt::Debug for Text<ROOM> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A string where it stands: the section of strings, and the reference word of a record.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    strings: Words<'a>,
    length: usize,
}

impl<'a> Stored<'a> {
    pub(super) fn new(strings: Words<'a>, reference: u64) -> Stored<'a> {
        let length = (low(reference) as usize).min(MAX_TEXT);
        Stored { strings: strings.range(high(reference) as usize, length.div_ceil(WORD)), length }
    }

    /// Whether it is what a host begins with.
    #[inline]
    pub(super) fn begins(self, host: &Host) -> bool {
        host.begins_with(self.strings, self.length)
    }

    /// Byte for byte equality.
    #[inline]
    pub(super) fn equals(self, text: &[u8]) -> bool {
        text.len() == self.length && {
            let (whole, rest) = text.as_chunks::<WORD>();
            let words = whole.iter().map(|chunk| u64::from_le_bytes(*chunk));
            words.zip(self.strings.iter()).all(|(ours, theirs)| ours == theirs)
                && (rest.is_empty() || self.strings.at(whole.len()) == word_of(rest))
        }
    }

    /// As much of it as there is room for.
    #[inline]
    pub(super) fn copy<const ROOM: usize>(self) -> Text<ROOM> {
        let mut text = Text::EMPTY;
        let length = self.length.min(ROOM);
        let (whole, rest) = text.bytes[..length].as_chunks_mut::<WORD>();
        for (chunk, word) in whole.iter_mut().zip(self.strings.iter()) {
            *chunk = word.to_le_bytes();
        }
        let last = self.strings.at(whole.len()).to_le_bytes();
        rest.iter_mut().zip(last).for_each(|(byte, stored)| *byte = stored);
        text.length = length as u8;
        text
    }
}

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

    /// Whether it is this string.
    #[inline]
    pub(super) fn is(&self, stored: Stored<'_>) -> bool {
        self.length == stored.length && stored.begins(self)
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

/// Up to eight bytes as a word, padded with zeros.
pub(super) fn word_of(chunk: &[u8]) -> u64 {
    let mut bytes = [0; WORD];
    bytes[..chunk.len()].copy_from_slice(chunk);
    u64::from_le_bytes(bytes)
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
