//! Short texts of fixed room, for what outlives one call of ours without touching the heap: ids, realms, URIs.
//! It must never grow: what does not fit is refused, not cut, so that no id becomes another id.

use core::fmt;

/// Up to `N` bytes, stored in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// No bytes.
    pub(crate) const EMPTY: Text<N> = Text { bytes: [0; N], len: 0 };

    /// A copy of `bytes`, or nothing when they are longer than `N`.
    pub(crate) fn new(bytes: &[u8]) -> Option<Text<N>> {
        let mut text = Text::EMPTY;
        text.push(bytes).then_some(text)
    }

    /// Appends all of `bytes`, or none of them.
    #[must_use]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        true
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// True when there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.push(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.bytes().escape_ascii(), f)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_whole() {
        let mut text = Text::<4>::new(b"abc").expect("fits");
        assert!(!text.push(b"de"));
        assert_eq!(text.bytes(), b"abc");
        assert!(text.push(b"d"));
        assert_eq!(text.bytes(), b"abcd");
        assert_eq!(Text::<4>::new(b"abcde"), None);
    }
}
