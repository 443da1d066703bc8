//! A filter's text to tokens: words, strings, parentheses and brackets, each with its byte offset.
//!
//! What is not a token becomes [`Token::Bad`] with the reason, and is reported when the parser gets there, so that the
//! first fault of a filter is the one that is told.

use crate::fault::FaultKind;
use crate::json::{self, Value};

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, an operator, a number, `true`, `false` or `null`.
    Word(&'a str),
    /// A JSON string, unescaped.
    Text(String),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// Not a token.
    Bad(&'static str),
    /// The end of the filter.
    End,
}

/// Whether a word may hold this byte. Beyond RFC 7643 section 2.1 the `.` of paths, and `:` and `/`, which are common in
/// keys of `context`.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/')
}

/// All tokens, the last of them [`Token::End`].
pub(super) fn lex(text: &str) -> Vec<(usize, Token<'_>)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let from = at;
        at += 1;
        let token = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'(' => Token::Open,
            b')' => Token::Close,
            b'[' => Token::OpenBracket,
            b']' => Token::CloseBracket,
            b'"' => {
                let (token, end) = string(bytes, from);
                at = end;
                token
            }
            byte if is_word(*byte) => {
                at += bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                Token::Word(&text[from..at])
            }
            b'\'' => Token::Bad("text stands in double quotes"),
            // “ and ” begin with these bytes.
            0xe2 if bytes[at..].starts_with(&[0x80]) => Token::Bad("text stands in straight double quotes"),
            _ => Token::Bad("this character may stand only inside double quotes"),
        };
        let bad = matches!(token, Token::Bad(_));
        tokens.push((from, token));
        if bad {
            break;
        }
    }
    tokens.push((text.len(), Token::End));
    tokens
}

/// Reads the string that begins at `from`; the second part is where the text goes on.
fn string<'a>(bytes: &[u8], from: usize) -> (Token<'a>, usize) {
    let mut at = from + 1;
    loop {
        match bytes.get(at) {
            Some(b'"') => break,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return (Token::Bad("the closing double quote is missing"), bytes.len()),
        }
    }
    let token = match json::parse(&bytes[from..=at]) {
        Ok(Value::String(text)) => Token::Text(text.into_owned()),
        Err(fault) if fault.kind == FaultKind::Invalid => Token::Bad("this string holds a lone surrogate"),
        _ => Token::Bad("this is not a JSON string: a control character or an unknown escape is in it"),
    };
    (token, at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_their_places() {
        let cases: &[(&str, &[(usize, Token<'_>)])] = &[
            ("", &[(0, Token::End)]),
            (" a.b\teq\"c\"", &[(1, Token::Word("a.b")), (5, Token::Word("eq")), (7, Token::Text("c".into())), (10, Token::End)]),
            ("not(", &[(0, Token::Word("not")), (3, Token::Open), (4, Token::End)]),
            ("x[]", &[(0, Token::Word("x")), (1, Token::OpenBracket), (2, Token::CloseBracket), (3, Token::End)]),
            (r#""\u00e9\"\\""#, &[(0, Token::Text("é\"\\".into())), (12, Token::End)]),
            ("-12", &[(0, Token::Word("-12")), (3, Token::End)]),
        ];
        for (text, tokens) in cases {
            assert_eq!(&lex(text), tokens, "{text}");
        }
        for bad in ["\"", "\"\\", "\"a\\\"", "\"\\ud800\"", "\"\\x\"", "\"\n\"", "'a'", "“a”", "=", "é", "\0"] {
            let tokens = lex(bad);
            assert!(matches!(tokens[0].1, Token::Bad(_)) && tokens.len() == 2, "{bad}");
        }
    }
}
