//! Lower-case hexadecimal, the form in which every hash appears in JSON.

/// `bytes` as lower-case hex.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    write(bytes, &mut out);
    out.into_iter().map(char::from).collect()
}

/// Appends `bytes` as lower-case hex to `out`.
pub fn write(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]));
}

/// The bytes that lower-case hex stands for; `None` for anything else, upper case included.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let mut out = vec![0; pairs.len()];
    decode_into(pairs, &mut out).then_some(out)
}

/// [`decode`] into an array of known length.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode_digits(text.as_bytes())
}

/// [`decode_array`] of digits that nobody has called text yet.
pub(crate) fn decode_digits<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let mut out = [0; N];
    (pairs.len() == N && rest.is_empty() && decode_into(pairs, &mut out)).then_some(out)
}

/// Looks at every digit before it says whether all were digits: that costs no branch a digit.
fn decode_into(pairs: &[[u8; 2]], out: &mut [u8]) -> bool {
    let mut seen = 0;
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    seen < 16
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// What each byte is worth as a digit; 255 for one that is none.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_undoes_encode_and_refuses_the_rest() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        for bad in ["0", "0G", "G0", "AB", "é", "00:0", "0/", "g0"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode_array::<2>("00ff"), Some([0, 255]));
        assert_eq!(decode_array::<2>("00"), None);
    }
}
