//! Texts that are told or taken apart before a project is known: names of members in a refusal, and what is cut or put together
//! on its way into an event, where half of a URL would no longer show that it holds a password.
//!
//! The standard rules apply, and what they would hash is replaced. Refuses nothing.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::LazyLock;

use super::Rules;
use super::text::may_show;
use super::walk::{Place, Redactor};
use crate::json::push_pointer;

/// A text without the secrets that it shows.
pub fn told(text: &str) -> Cow<'_, str> {
    static RULES: LazyLock<Rules> = LazyLock::new(Rules::standard);
    if !may_show(text) {
        return Cow::Borrowed(text);
    }
    let unread = Cell::new(false);
    match (Redactor { rules: &RULES, keys: None, unread: &unread, own: None }).text(text, Place::default()) {
        // JSON too large to be looked into is not told at all.
        _ if unread.get() => Cow::Borrowed(super::walk::REDACTED),
        Some(clean) => Cow::Owned(clean),
        None => Cow::Borrowed(text),
    }
}

/// A JSON Pointer (RFC 6901) whose names are told so.
pub(crate) fn told_pointer(pointer: String) -> String {
    if !pointer.split('/').any(may_show) {
        return pointer;
    }
    let mut out = String::with_capacity(pointer.len());
    // What stands before the first `/` is nothing, in any pointer.
    for segment in pointer.split('/').skip(1) {
        push_pointer(&mut out, &told(&segment.replace("~1", "/").replace("~0", "~")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_pointers_are_told_without_secrets() {
        let cases = [
            ("colour", "colour"),
            ("a:b", "a:b"),
            ("https://u:S@h/p?token=S", "https://u@h/p?token=[REDACTED]"),
            ("password=S", "password=[REDACTED]"),
            ("external_user_id=S", "external_user_id=[REDACTED]"),
            (r#"{"password":"S","external_user_id":"S"}"#, r#"{"password":"[REDACTED]","external_user_id":"[REDACTED]"}"#),
        ];
        for (name, expected) in cases {
            assert_eq!(told(name), expected);
            let pointer = |name: &str| {
                let mut pointer = "/a~1b".to_owned();
                push_pointer(&mut pointer, name);
                pointer + "/7"
            };
            assert_eq!(told_pointer(pointer(name)), pointer(expected));
            assert_eq!(told_pointer(pointer(expected)), pointer(expected), "twice");
        }
        assert_eq!(told_pointer(String::new()), "");
    }
}
