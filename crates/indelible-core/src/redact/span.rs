//! Where a value ends in text that is not parsed.
//!
//! Quotes may be escaped any number of times (`\"`, `\\\"`), since text is often JSON that was put into JSON. All positions are
//! of ASCII bytes, so text can be cut there. A value that does not end ends with the text.

use memchr::memmem;

/// A value of JSON, or of a literal in source code.
pub(super) struct Literal {
    /// Its first byte; behind the opening quote for a string.
    pub(super) from: usize,
    /// The byte after its last; the closing quote for a string.
    pub(super) to: usize,
    pub(super) quoted: bool,
    /// Backslashes before each of its quotes, were it a string.
    pub(super) escapes: usize,
}

/// How many backslashes stand right before `at`.
pub(super) fn backslashes_before(bytes: &[u8], at: usize) -> usize {
    bytes[..at].iter().rev().take_while(|b| **b == b'\\').count()
}

/// The string, number, object or array that begins at `from` or after white space there. Words (`null`, names of variables) are none.
pub(super) fn literal(bytes: &[u8], from: usize) -> Option<Literal> {
    let mut at = from + bytes[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    // Python's b'…', u'…', f'…'.
    if matches!(bytes.get(at..at + 2), Some([b'b' | b'u' | b'r' | b'f', b'"' | b'\''])) {
        at += 1;
    }
    match *bytes.get(at)? {
        b'"' | b'\'' | b'\\' => string(bytes, at),
        b'{' | b'[' => {
            let (to, escapes) = group_end(bytes, at);
            Some(Literal { from: at, to, quoted: false, escapes })
        }
        b'-' | b'0'..=b'9' => {
            let length = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')).count();
            let before = from.checked_sub(2).map_or(0, |quote| backslashes_before(bytes, quote));
            Some(Literal { from: at, to: at + length, quoted: false, escapes: before })
        }
        _ => None,
    }
}

/// The string that begins at `from` or after white space there.
pub(super) fn string(bytes: &[u8], from: usize) -> Option<Literal> {
    let at = from + bytes[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let escapes = bytes[at..].iter().take_while(|b| **b == b'\\').count();
    let quote = bytes.get(at + escapes).copied().filter(|b| matches!(b, b'"' | b'\''))?;
    let from = at + escapes + 1;
    Some(Literal { from, to: string_end(bytes, from, quote, escapes), quoted: true, escapes })
}

/// The closing quote of a string whose opening quote had `escapes` backslashes before it, or the position where its backslashes
/// begin. A quote inside of the string has more of them: twice as many and one.
fn string_end(bytes: &[u8], from: usize, quote: u8, escapes: usize) -> usize {
    for offset in memchr::memchr_iter(quote, &bytes[from..]) {
        let at = from + offset;
        let run = backslashes_before(&bytes[from..], offset);
        if run < escapes {
            return at - run;
        }
        if (run - escapes).is_multiple_of(2 * (escapes + 1)) {
            return at - escapes;
        }
    }
    bytes.len()
}

/// The end of an object or array, and how often its quotes are escaped.
fn group_end(bytes: &[u8], from: usize) -> (usize, usize) {
    let mut open = 0_usize;
    let mut escapes = None;
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open -= 1;
                if open == 0 {
                    return (at + 1, escapes.unwrap_or(0));
                }
            }
            quote @ (b'"' | b'\'') => {
                let run = backslashes_before(&bytes[from..], at - from);
                let own = *escapes.get_or_insert(run);
                let end = string_end(bytes, at + 1, quote, own);
                at = end + own;
            }
            _ => {}
        }
        at += 1;
    }
    (bytes.len(), escapes.unwrap_or(0))
}

/// The end of a line, of the quotes it is in (`quote`), or an escaped line end (`\r`, `\n` written out).
pub(super) fn line_end(bytes: &[u8], from: usize, quote: Option<u8>) -> usize {
    let rest = &bytes[from..];
    let ends = |at: usize, byte: u8| {
        matches!(byte, b'\n' | b'\r')
            || quote == Some(byte)
            || byte == b'\\' && matches!(rest.get(at + 1), Some(b'r' | b'n' | b'"' | b'\\'))
    };
    from + rest.iter().enumerate().position(|(at, byte)| ends(at, *byte)).unwrap_or(rest.len())
}

/// Where a value ends that `&`, `;` or white space may end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// Its parameter stands among others that `&` joins.
    ByAmpersands,
    /// Its parameter stands behind a `;`: the next one with a parameter behind it ends it as well.
    BySemicolons,
}

/// The end of a parameter's value in a URL or form. A `'` ends it where one stands `before` the name, or where it closes quotes: in
/// front of white space, punctuation or the end. Where the value is only looked into, the next `?` ends it as well.
pub(super) fn parameter_end(bytes: &[u8], from: usize, before: Option<u8>, joined: Joined, at_question: bool) -> usize {
    let rest = &bytes[from..];
    let ends = |at: usize, byte: u8| match byte {
        b'&' | b'#' | b'"' | b'<' | b'>' | b'\\' | b'`' => true,
        b'\'' => before == Some(b'\'') || rest.get(at + 1).is_none_or(|next| !next.is_ascii_alphanumeric()),
        b'?' => at_question,
        b';' => joined == Joined::BySemicolons && begins_parameter(&rest[at + 1..]),
        byte => byte.is_ascii_whitespace(),
    };
    from + rest.iter().enumerate().position(|(at, byte)| ends(at, *byte)).unwrap_or(rest.len())
}

/// The end of the pair of a form that begins at `from`. A `;` with no parameter behind it is part of a value.
pub(super) fn pair_end(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from..];
    let ends = |at: &usize| rest[*at] == b'&' || begins_parameter(&rest[at + 1..]);
    from + memchr::memchr2_iter(b'&', b';', rest).find(ends).unwrap_or(rest.len())
}

/// A name of a parameter is looked for so far on, bytes.
const PARAMETER_NAME_BYTES_MAX: usize = 96;

/// Whether `name=` comes, or nothing.
fn begins_parameter(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'%' | b'[' | b']' | b' ');
    let length = rest.iter().take(PARAMETER_NAME_BYTES_MAX).take_while(is_name).count();
    rest.is_empty() || length > 0 && rest.get(length) == Some(&b'=')
}

/// The headers of a multipart form's part are at most so long after its name, bytes.
const PART_HEADER_BYTES_MAX: usize = 1_024;

/// The body of a multipart form's part whose name ends at `from`: after the empty line, before the next boundary.
pub(super) fn part_body(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let head = &bytes[from..bytes.len().min(from + PART_HEADER_BYTES_MAX)];
    let blank = [memmem::find(head, b"\r\n\r\n").map(|at| at + 4), memmem::find(head, b"\n\n").map(|at| at + 2)];
    let start = from + blank.into_iter().flatten().min()?;
    let body = &bytes[start..];
    let end = memmem::find(body, b"\n--").unwrap_or(body.len());
    let end = if end > 0 && body[end - 1] == b'\r' { end - 1 } else { end };
    Some((start, start + end))
}
