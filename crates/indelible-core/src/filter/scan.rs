//! The equality terms of an entry from its bytes, without making values of them: at less than half the cost of parsing it.
//!
//! Stored entries are canonical, so there is no white space and strings seldom hold escapes. What is not of that form is
//! given up, never guessed at. Invariant: for canonical bytes, the terms are those of [`super::terms()`].

use std::borrow::Cow;

use super::terms::{Branch, Inner, TREE, find, write_label};
use crate::json::{self, Value, plain_length};
use crate::limits::JSON_DEPTH_MAX;

/// Hands every term of `entry` to `each`; `None` where the bytes are not canonical JSON as far as was read.
pub(super) fn terms(entry: &[u8], each: &mut dyn FnMut(&str, &str)) -> Option<()> {
    let text = std::str::from_utf8(entry).ok()?;
    let mut scanner = Scanner { text, at: 0, label: String::new() };
    scanner.members(&TREE, 0, each)?;
    (scanner.at == text.len()).then_some(())
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The name of the key of `context` that is being handed over.
    label: String,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Whether a list goes on, after one of its items.
    fn goes_on(&mut self, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        (byte == b',' || byte == close).then_some(byte == b',')
    }

    /// The object that is next, the members of which `branches` are looked for.
    fn members(&mut self, branches: &[Branch], depth: usize, each: &mut dyn FnMut(&str, &str)) -> Option<()> {
        let mut near = 0;
        self.object(|scanner, name| match find(branches, &mut near, name) {
            Some(branch) => scanner.value(branch, depth + 1, each),
            None => scanner.skip(),
        })
    }

    /// The object that is next; `member` reads each value.
    fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.take(b':')?;
            member(self, &name)?;
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    fn value(&mut self, branch: &Branch, depth: usize, each: &mut dyn FnMut(&str, &str)) -> Option<()> {
        match (self.peek()?, &branch.inner) {
            (b'[', _) => self.array(branch, depth, each),
            (b'{', Inner::Members(branches)) => self.members(branches, depth, each),
            (b'{', Inner::Labels) => self.labels(each),
            (b'"', Inner::Leaf) => {
                let text = self.string()?;
                each(&branch.dotted, &text);
                Some(())
            }
            (b'{' | b'"', _) => self.skip(),
            (_, inner) => {
                let text = self.word()?;
                if matches!(inner, Inner::Leaf) && text != "null" {
                    each(&branch.dotted, text);
                }
                Some(())
            }
        }
    }

    fn array(&mut self, branch: &Branch, depth: usize, each: &mut dyn FnMut(&str, &str)) -> Option<()> {
        if depth > JSON_DEPTH_MAX {
            return None;
        }
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            self.value(branch, depth + 1, each)?;
            if !self.goes_on(b']')? {
                return Some(());
            }
        }
    }

    fn labels(&mut self, each: &mut dyn FnMut(&str, &str)) -> Option<()> {
        self.object(|scanner, key| {
            if scanner.peek()? != b'"' {
                return scanner.skip();
            }
            let text = scanner.string()?;
            write_label(key, &mut scanner.label);
            each(&scanner.label, &text);
            Some(())
        })
    }

    /// The string that is next. Borrowed unless it holds an escape.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let from = self.at;
        let escaped = self.skip_string()?;
        if !escaped {
            return self.text.get(from + 1..self.at - 1).map(Cow::Borrowed);
        }
        match json::parse(self.text.as_bytes().get(from..self.at)?) {
            Ok(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Moves past the string that is next; whether it holds an escape.
    fn skip_string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let mut escaped = false;
        loop {
            self.at += plain_length(self.text.as_bytes().get(self.at..)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(escaped);
                }
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
    }

    /// The number, `true`, `false` or `null` that is next.
    fn word(&mut self) -> Option<&'a str> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = self.text.as_bytes().get(self.at..)?.iter().take_while(|byte| is_part(byte)).count();
        let word = self.text.get(self.at..self.at + length)?;
        self.at += length;
        (length > 0).then_some(word)
    }

    /// Moves past the value that is next. Counts levels instead of going down them.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.skip_string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                _ => {
                    self.word()?;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}
