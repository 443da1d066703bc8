//! What the line-wise texts are made of (notes, checkpoints, proofs): decimal numbers and base64, each in its one form.
//!
//! Refused: leading zeros, signs, missing padding, bits beyond the last byte. So a text that was read is printed as it was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::chain::Hash;
use crate::limits::TREE_SIZE_MAX;

/// A number in decimal, at most [`TREE_SIZE_MAX`].
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|number| plain && *number <= TREE_SIZE_MAX)
}

/// Base64 with padding (RFC 4648, section 4).
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// What [`encode`] wrote, and nothing else.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// 32 bytes in base64.
pub(crate) fn decode_hash(text: &str) -> Option<Hash> {
    decode(text)?.try_into().ok()
}

/// The lines of a text in which each ends in a newline; `None` where the last does not.
pub(crate) fn split(text: &str) -> Option<std::str::Split<'_, char>> {
    text.strip_suffix('\n').map(|text| text.split('\n'))
}

/// Appends a line for each hash.
pub(crate) fn push_hashes(hashes: &[Hash], out: &mut String) {
    for hash in hashes {
        STANDARD.encode_string(hash, out);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_hashes_have_one_form() {
        for (text, number) in [("0", 0), ("7", 7), ("10", 10), ("9223372036854775807", TREE_SIZE_MAX)] {
            assert_eq!(decimal(text), Some(number), "{text}");
        }
        for text in ["", "00", "07", "+7", "-0", " 7", "7 ", "7\n", "0x7", "٣", "9223372036854775808", "18446744073709551616"] {
            assert_eq!(decimal(text), None, "{text}");
        }
        let hash = [0xff; 32];
        let text = encode(&hash);
        assert_eq!(decode_hash(&text), Some(hash));
        let last_bits = text.replace("8=", "9=");
        for bad in ["", &text[1..], text.trim_end_matches('='), &format!("{text}\n"), &last_bits, &text.replace('/', "_")] {
            assert_eq!(decode_hash(bad), None, "{bad}");
        }
        let mut lines = String::new();
        push_hashes(&[hash, [0; 32]], &mut lines);
        assert_eq!(lines.lines().map(decode_hash).collect::<Vec<_>>(), [Some(hash), Some([0; 32])]);
    }
}
