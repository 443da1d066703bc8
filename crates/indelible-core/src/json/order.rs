//! The order of names in RFC 8785, section 3.2.3: by UTF-16 code unit, which every object of an event is put into.
//!
//! Most names differ within their first eight bytes, so they are compared as one number. Nothing is allocated for objects of few
//! members, which almost all are.

use std::cmp::Ordering;

/// Objects of more members are sorted in a list of their own.
const FEW_MEMBERS: usize = 24;
/// The high bit of each byte: set in none of a word that is ASCII.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first eight bytes of a name as a number, zeros after its end: of two names in ASCII whose words differ, the lesser word is that of the one
/// that comes first.
pub(crate) const fn word(name: &str) -> u64 {
    let name = name.as_bytes();
    if let Some(first) = name.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let (mut word, mut at) = (0, 0);
    while at < 8 {
        word = word << 8 | if at < name.len() { name[at] as u64 } else { 0 };
        at += 1;
    }
    word
}

/// The order of two names.
pub(super) fn utf16_order(a: &str, b: &str) -> Ordering {
    order((word(a), a), (word(b), b))
}

fn order((a_word, a): (u64, &str), (b_word, b): (u64, &str)) -> Ordering {
    if a_word != b_word && (a_word | b_word) & HIGHS == 0 {
        return a_word.cmp(&b_word);
    }
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        None => a.len().cmp(&b.len()),
        // A character above U+FFFF (its first byte is from 0xf0 on) has its surrogates in UTF-16, which come before U+E000 to U+FFFF (0xee, 0xef).
        // Bytes that are not a character's first are less than these.
        Some((a, b)) if a >= 0xee && b >= 0xee && (a >= 0xf0) != (b >= 0xf0) => b.cmp(&a),
        Some((a, b)) => a.cmp(&b),
    }
}

/// Hands the places of `names` to `sorted` in the order of the names; hands it nothing where they are in order already.
pub(super) fn with_order<'n, T>(
    names: &(impl ExactSizeIterator<Item = &'n str> + Clone),
    sorted: impl FnOnce(Option<&[(u64, &'n str, usize)]>) -> T,
) -> T {
    let keys = names.clone().enumerate().map(|(at, name)| (word(name), name, at));
    let by_order = |a: &(u64, &str, usize), b: &(u64, &str, usize)| order((a.0, a.1), (b.0, b.1));
    if keys.clone().is_sorted_by(|a, b| by_order(a, b).is_lt()) {
        return sorted(None);
    }
    if names.len() > FEW_MEMBERS {
        let mut many: Vec<_> = keys.collect();
        many.sort_unstable_by(by_order);
        return sorted(Some(&many));
    }
    let mut few = [(0, "", 0); FEW_MEMBERS];
    let mut count = 0;
    for key in keys {
        let mut at = count;
        while at > 0 && by_order(&key, &few[at - 1]).is_lt() {
            few[at] = few[at - 1];
            at -= 1;
        }
        few[at] = key;
        count += 1;
    }
    sorted(Some(&few[..count]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{utf16_order, with_order};

    /// Names that begin alike, with characters of every length on both sides of the surrogates.
    fn name() -> impl Strategy<Value = String> {
        "[ab\0é€\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,3}|aaaaaaa[ab\0\u{e000}\u{10000}]{0,4}"
    }

    proptest! {
        #[test]
        fn names_are_ordered_by_their_utf16(a in name(), b in name()) {
            prop_assert_eq!(utf16_order(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
        }

        #[test]
        fn places_are_those_of_a_sort(names in proptest::collection::hash_set(name(), 0..60)) {
            let names: Vec<String> = names.into_iter().collect();
            let mut wanted: Vec<usize> = (0..names.len()).collect();
            wanted.sort_by(|a, b| names[*a].encode_utf16().cmp(names[*b].encode_utf16()));
            let places = with_order(&names.iter().map(String::as_str), |sorted| sorted.map(|keys| keys.iter().map(|key| key.2).collect::<Vec<_>>()));
            prop_assert_eq!(places.unwrap_or_else(|| (0..names.len()).collect()), wanted);
        }
    }
}
