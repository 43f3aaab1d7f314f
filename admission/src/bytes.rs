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
}
