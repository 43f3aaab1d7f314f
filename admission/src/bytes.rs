//! Bytes as words of eight: what strings of a message, of an image and of an event are all told and compared by.
//! Must never take what stands beside the bytes for one of them.

/// Up to eight bytes as a word, padded with zeros; what is beyond eight is left out. Reads that may overlap, instead of one for
/// each byte.
#[inline]
pub(crate) fn word_of(bytes: &[u8]) -> u64 {
    if let Some(whole) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*whole);
    }
    let place = |from: usize| 8 * from as u32;
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << place(bytes.len() - 4);
    }
    match bytes {
        [] => 0,
        // The first, the middle and the last of up to three: the same one again where there are fewer.
        [first, .., last] => {
            let middle = bytes.len() / 2;
            u64::from(*first)
                | u64::from(bytes[middle]) << place(middle)
                | u64::from(*last) << place(bytes.len() - 1)
        }
        [only] => u64::from(*only),
    }
}

/// The words of a string: the whole ones, and what is left over, padded with zeros, if anything is.
#[inline]
pub(crate) fn words_of(bytes: &[u8]) -> (&[[u8; 8]], Option<u64>) {
    let (whole, rest) = bytes.as_chunks::<8>();
    let last = match (rest.len(), bytes.last_chunk::<8>()) {
        (0, _) => None,
        // The last eight bytes, those of the word before pushed out.
        (left, Some(last)) => Some(u64::from_le_bytes(*last) >> (64 - 8 * left)),
        (_, None) => Some(word_of(rest)),
    };
    (whole, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_stands_in_its_place_and_zeros_behind_them() {
        let bytes = [0x81, 0x12, 0xf3, 0x24, 0xa5, 0x36, 0xc7, 0x58, 0x99];
        for count in 0..=bytes.len() {
            let mut padded = [0; 8];
            let kept = count.min(8);
            padded[..kept].copy_from_slice(&bytes[..kept]);
            assert_eq!(word_of(&bytes[..count]), u64::from_le_bytes(padded), "{count}");
        }
    }

    #[test]
    fn a_string_is_its_words_whatever_its_length() {
        let bytes: Vec<u8> = (0..40_u8).map(|n| n.wrapping_mul(77) | 1).collect();
        for count in 0..=bytes.len() {
            let (whole, last) = words_of(&bytes[..count]);
            let words: Vec<u64> = whole.iter().map(|word| u64::from_le_bytes(*word)).chain(last).collect();
            let wanted: Vec<u64> = bytes[..count].chunks(8).map(word_of).collect();
            assert_eq!(words, wanted, "{count}");
        }
    }
}
