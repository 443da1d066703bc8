//! Cutting the text of an array into the texts of its items, without reading what is in them: only strings, brackets and the
//! commas between items are looked at, and no more items than are wanted.
//!
//! An array is cut if and only if it is one, where every item is JSON by itself: so whoever parses all items
//! has parsed the array. Whatever else is wrong, [`super::check_array`] finds.

use super::plain::plain_length;

/// A text that was to be an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut<'a> {
    /// The texts of its items, white space around them included.
    Items(Vec<&'a [u8]>),
    /// It has more items than are wanted; what comes after them was not looked at.
    TooMany,
    /// It begins like an array and is none.
    Broken,
    /// It does not begin like an array.
    Other,
}

/// Cuts an array of at most `items_max` items.
pub fn cut(bytes: &[u8], items_max: usize) -> Cut<'_> {
    let begin = bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(bytes.len());
    let Some(inner) = bytes[begin..].strip_prefix(b"[") else { return Cut::Other };
    let (mut items, mut depth, mut from, mut at) = (Vec::new(), 0_usize, 0, 0);
    while let Some(byte) = inner.get(at) {
        match byte {
            b'"' => match string_length(&inner[at..]) {
                Some(length) => at += length - 1,
                None => return Cut::Broken,
            },
            b'[' | b'{' => depth += 1,
            b']' if depth == 0 => {
                let is_last = is_blank(&inner[at + 1..]);
                let last = &inner[from..at];
                if !(items.is_empty() && is_blank(last)) {
                    if items.len() == items_max {
                        return Cut::TooMany;
                    }
                    items.push(last);
                }
                return if is_last { Cut::Items(items) } else { Cut::Broken };
            }
            b'}' if depth == 0 => return Cut::Broken,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                if items.len() == items_max {
                    return Cut::TooMany;
                }
                items.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    Cut::Broken
}

/// White space of JSON (RFC 8259, section 2); a form feed is none.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| is_space(*byte))
}

/// Bytes of the string that `text` begins with, its quotes included.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += plain_length(&text[at..]);
        match text.get(at)? {
            b'"' => return Some(at + 1),
            // A control character is for the parser to refuse.
            b'\\' => at += 2,
            _ => at += 1,
        }
        if at > text.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_cut_between_their_items() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("[]", Some(&[])),
            (" [ ] ", Some(&[])),
            ("[1, {\"a\":[1,2]} ,\"x,]\\\"\"]\n", Some(&["1", " {\"a\":[1,2]} ", "\"x,]\\\"\""])),
            ("[1,]", Some(&["1", ""])),
            ("[,1]", Some(&["", "1"])),
            ("[1 2]", Some(&["1 2"])),
            ("[[1}]", Some(&["[1}"])),
            ("[\u{c}]", Some(&["\u{c}"])),
            ("[1]\u{c}", None),
            ("[1}", None),
            ("[1", None),
            ("[\"a]", None),
            ("[\"a\\", None),
            ("[1] 2", None),
            ("[[1]", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map_or(Cut::Broken, |items| Cut::Items(items.iter().map(|item| item.as_bytes()).collect()));
            assert_eq!(cut(text.as_bytes(), 10), expected, "{text}");
        }
        for text in ["", "{}", "1", "\"[\"", "\u{c}[]"] {
            assert_eq!(cut(text.as_bytes(), 10), Cut::Other, "{text}");
        }
    }

    #[test]
    fn no_more_items_are_cut_than_are_wanted() {
        assert_eq!(cut(b"[1,2,3]", 3), Cut::Items(vec![b"1", b"2", b"3"]));
        assert_eq!(cut(b"[1,2,3]", 2), Cut::TooMany);
        assert_eq!(cut(b"[1,2,3,", 2), Cut::TooMany);
        assert_eq!(cut(b"[1,2,3, what comes is not looked at \"", 2), Cut::TooMany);
        assert_eq!(cut(b"[]", 0), Cut::Items(Vec::new()));
    }
}
