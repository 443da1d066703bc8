//! How much of a string needs no escape: eight bytes at a time, since most of what is read and written is plain.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Length of the longest beginning of `bytes` without quote, backslash or control character.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    for chunk in bytes.chunks_exact(8) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let special = specials(u64::from_le_bytes(word));
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

/// The high bit of the first byte that is special is set, and none below it. (A borrow can set bits above it.)
const fn specials(word: u64) -> u64 {
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    controls | zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64))
}

#[cfg(test)]
mod tests {
    use super::plain_length;

    /// Every byte at every place of a word, after every beginning.
    #[test]
    fn agrees_with_looking_at_each_byte() {
        for byte in 0..=255_u8 {
            for at in 0..20 {
                for fill in [b'a', 0x7f, 0x80, 0xff, b'!', b'#'] {
                    let mut text = vec![fill; 24];
                    text[at] = byte;
                    text[at + 2] = b'"';
                    let wanted = if matches!(byte, b'"' | b'\\' | 0..=0x1f) { at } else { at + 2 };
                    assert_eq!(plain_length(&text), wanted, "{byte:#x} at {at} in {fill:#x}");
                }
            }
        }
        assert_eq!(plain_length(b""), 0);
        assert_eq!(plain_length(b"seven b"), 7);
    }
}
