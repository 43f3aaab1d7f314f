//! Strings in an image: bytes padded with zeros to whole words, referred to by offset and length.
//!
//! A string is compared in place or copied to a fixed buffer on the stack; it is never longer than 255 bytes.

use core::fmt;

use super::host::Host;
use super::layout::{high, low};
use crate::bytes::word_of;
use crate::map::{WORD, Words};

/// Longest string in an image, in bytes.
pub(super) const MAX_TEXT: usize = 255;

/// Words of most strings: a gateway's URI, an account's id.
const FEW_WORDS: usize = 4;

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

    /// From padded words; what stands in them behind the length is nobody's.
    #[inline]
    pub(super) fn of<const N: usize>(words: &[u64; N], length: usize) -> Text<ROOM> {
        let mut text = Text::EMPTY;
        for (chunk, word) in text.bytes.chunks_mut(WORD).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        text.length = length.min(N * WORD).min(ROOM) as u8;
        text
    }

    /// As much of a string of an image as there is room for. Most are a few words: those are copied without asking how many.
    #[inline(always)]
    pub(super) fn stored(strings: Words<'_>, reference: u64) -> Text<ROOM> {
        let length = low(reference) as usize;
        if length <= FEW_WORDS * WORD {
            return Text::of(&strings.array::<FEW_WORDS>(high(reference) as usize), length);
        }
        Stored::new(strings, reference).copy()
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

    /// Whether it is a host.
    pub(super) fn is(self, host: &Host) -> bool {
        self.length == host.len() && self.begins(host)
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
    fn copy<const ROOM: usize>(self) -> Text<ROOM> {
        let mut text = Text::EMPTY;
        let length = self.length.min(ROOM);
        // Whole words, the last one too: it is padded, and what stands behind the length is nobody's.
        let (chunks, last) = text.bytes.as_chunks_mut::<WORD>();
        let mut words = self.strings.range(0, length.div_ceil(WORD)).iter();
        for (chunk, word) in chunks.iter_mut().zip(&mut words) {
            *chunk = word.to_le_bytes();
        }
        if let Some(word) = words.next() {
            last.copy_from_slice(&word.to_le_bytes()[..last.len()]);
        }
        text.length = length as u8;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::AtomicU64;

    fn copied<const ROOM: usize>(stored: &[u8], length: usize) -> Vec<u8> {
        let words: Vec<AtomicU64> = stored.chunks(WORD).map(|chunk| AtomicU64::new(word_of(chunk))).collect();
        Text::<ROOM>::stored(Words::new(&words), length as u64).as_bytes().to_vec()
    }

    #[test]
    fn a_string_is_copied_whole_or_as_much_of_it_as_there_is_room_for() {
        let stored: Vec<u8> = (1..=MAX_TEXT as u8).collect();
        for length in 0..=MAX_TEXT {
            // What stands behind it is another's.
            assert_eq!(copied::<MAX_TEXT>(&stored, length), stored[..length], "{length}");
            assert_eq!(copied::<63>(&stored, length), stored[..length.min(63)], "{length} in 63");
            let cut = copied::<MAX_TEXT>(&stored[..length], MAX_TEXT);
            assert_eq!(cut[..length], stored[..length], "{length} of it are there");
            assert!(cut[length..].iter().all(|&byte| byte == 0), "{length}: nothing behind them");
        }
    }
}
