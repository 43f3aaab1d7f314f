//! Kamailio's counted string (`str`) as bytes. It must never assume UTF-8, a closing NUL, or a non-negative length:
//! all three come from the network or from C.

use core::ffi::{c_char, c_int};

use crate::sys;

/// A counted string that somebody else owns, for as long as `'a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KStr<'a>(&'a [u8]);

impl<'a> KStr<'a> {
    /// Reads a `str`. A null pointer or a length of zero or less is the empty string.
    ///
    /// # Safety
    /// When `s.s` is not null it must point to `s.len` readable bytes that nobody changes during `'a`: true for the
    /// parts of a message while its script function or callback runs.
    pub(crate) unsafe fn new(s: &sys::str_) -> KStr<'a> {
        match usize::try_from(s.len) {
            // SAFETY: not null and not negative; the caller vouches for the bytes.
            Ok(len) if !s.s.is_null() => KStr(unsafe { core::slice::from_raw_parts(s.s.cast::<u8>(), len) }),
            _ => KStr(&[]),
        }
    }

    /// Bytes of our own, to be handed to Kamailio with [`KStr::as_sys`].
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> KStr<'a> {
        KStr(bytes)
    }

    /// The bytes.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// As Kamailio's `str`, for functions that read it. The pointer is good as long as the bytes are; C must not write
    /// through it. Longer than `c_int` can say becomes the empty string.
    pub(crate) fn as_sys(self) -> sys::str_ {
        let len = c_int::try_from(self.0.len()).unwrap_or(0);
        sys::str_ { s: self.0.as_ptr().cast_mut().cast::<c_char>(), len }
    }

    /// Without the blanks and line ends that a folded header may carry around its value.
    pub(crate) fn trimmed(self) -> KStr<'a> {
        KStr(self.0.trim_ascii())
    }

    /// An unsigned decimal number of at most ten digits, or `None`.
    pub(crate) fn number(self) -> Option<u32> {
        if self.0.is_empty() || self.0.len() > 10 || !self.0.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let value = self.0.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        u32::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_negative_lengths_are_empty() {
        let null = sys::str_ { s: core::ptr::null_mut(), len: 7 };
        let negative = sys::str_ { s: b"abc".as_ptr().cast_mut().cast(), len: -1 };
        for empty in [null, negative] {
            // SAFETY: neither is dereferenced: null, and a length below zero.
            assert_eq!(unsafe { KStr::new(&empty) }.bytes(), b"");
        }
    }

    #[test]
    fn numbers_are_decimal_and_fit() {
        let number = |text: &str| KStr::from_bytes(text.as_bytes()).number();
        assert_eq!(number("4294967295"), Some(u32::MAX));
        for bad in ["", "4294967296", "99999999999", "12a", "-1", " 1"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_round_trip_keeps_bytes_that_are_not_text() {
        let bytes = [0xff, 0, b'a', 0x80];
        let sys = KStr::from_bytes(&bytes).as_sys();
        // SAFETY: points into `bytes`, which outlives it.
        assert_eq!(unsafe { KStr::new(&sys) }.bytes(), bytes);
    }
}
