//! Lower-case hexadecimal, into room of the caller's.

const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// One byte as two digits.
pub(crate) fn byte(byte: u8) -> [u8; 2] {
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// Writes `bytes` as digits and a closing NUL. `None` when `to` is too short.
pub(crate) fn c_string(bytes: &[u8], to: &mut [u8]) -> Option<()> {
    let (digits, end) = to.split_at_mut_checked(bytes.len() * 2)?;
    for (pair, &value) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&byte(value));
    }
    *end.first_mut()? = 0;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_a_nul() {
        let mut room = [b'x'; 6];
        assert_eq!(c_string(&[0x0a, 0xf1], &mut room), Some(()));
        assert_eq!(&room, b"0af1\0x");
        assert_eq!(c_string(&[1, 2, 3], &mut room), None, "no room for the NUL");
    }
}
