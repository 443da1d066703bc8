//! Looking into a string: JSON, JSON lines, form data, and then whatever secrets the plain text shows.
//!
//! A string in which nothing is found is kept exactly. JSON from which something was taken is written again, compact, its
//! members in their own order; other text changes only where the secret stood. What is neither JSON nor a form nor a URL nor a
//! header keeps its words: `token = next()` in source code is no secret.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::rule::{Strategy, holds_either, is_secret_parameter};
use super::scan;
use super::span;
use super::walk::{Place, REDACTED, Redactor, is_redacted};
use crate::fault::FaultKind;
use crate::json::{self, Value};
use crate::limits::JSON_VALUES_MAX;

/// Strings inside of strings are parsed so deep. Deeper ones are still scanned for names and values, escaped as they are.
pub(super) const TEXT_DEPTH_MAX: u8 = 8;

/// Whether a text may show a secret: what it takes is a mark (`:`, `=`), or a beginning like that of JSON or of a token. Told first, since it
/// is no of almost every name and value.
pub(super) fn may_show(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes.first(), Some(b'"' | b'[' | b'{' | b'B' | b'b' | b' ' | b'\t' | b'\r' | b'\n')) || holds_either(bytes, b':', b'=')
}

/// Text that is copied but for some places.
pub(super) struct Edits<'t> {
    text: &'t str,
    copied: usize,
    out: String,
    changed: bool,
}

impl<'t> Edits<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, copied: 0, out: String::new(), changed: false }
    }

    /// Puts `with` in the place of `from..to`, which begins at or after the end of the last.
    pub(super) fn replace(&mut self, from: usize, to: usize, with: &str) {
        if self.text[from..to] != *with {
            self.out.push_str(&self.text[self.copied..from]);
            self.out.push_str(with);
            self.copied = to;
            self.changed = true;
        }
    }

    /// The new text, or none where it is the old.
    pub(super) fn finish(mut self) -> Option<String> {
        self.changed.then(|| {
            self.out.push_str(&self.text[self.copied..]);
            self.out
        })
    }
}

/// One way of looking into text: what it becomes, or `None` where it stays. The number is the depth of what it looks into.
type Pass<'r> = fn(&Redactor<'r>, &str, u8) -> Option<String>;

impl<'r> Redactor<'r> {
    /// The text without its secrets, or `None` where there are none.
    pub(super) fn text(&self, text: &str, place: Place<'_>) -> Option<String> {
        if may_show(text) { self.look_into(text, place) } else { None }
    }

    fn look_into(&self, text: &str, place: Place<'_>) -> Option<String> {
        let bytes = text.as_bytes();
        if place.depth < TEXT_DEPTH_MAX
            && encloses_json(bytes.trim_ascii())
            && bytes.len() > 4
            && let Some(mut value) = self.parsed(bytes)
        {
            let inner = Place { depth: place.depth + 1, ..place };
            return self.value(&mut value, inner).then(|| written(&value));
        }
        let depth = place.depth + 1;
        let mut clean: Option<String> = None;
        let passes: [Pass<'r>; 4] = [Self::lines, Self::form, Self::plain, Self::tokens];
        for pass in passes {
            if let Some(cleaner) = pass(self, clean.as_deref().unwrap_or(text), depth) {
                clean = Some(cleaner);
            }
        }
        clean
    }

    /// The JSON that a string is. One of too many values is not looked into; the event is then refused.
    fn parsed<'t>(&self, bytes: &'t [u8]) -> Option<Value<'t>> {
        let parsed = json::parse(bytes);
        if let Err(fault) = &parsed
            && fault.kind == FaultKind::TooLarge
            && bytes.len() > JSON_VALUES_MAX
        {
            self.unread.set(true);
        }
        parsed.ok()
    }

    /// JSON lines and server-sent events: each line that is JSON, with or without `data:` before it.
    fn lines(&self, text: &str, depth: u8) -> Option<String> {
        if depth > TEXT_DEPTH_MAX || !(text.starts_with("data:") || memchr::memchr(b'\n', text.as_bytes()).is_some()) {
            return None;
        }
        let mut edits = Edits::new(text);
        let mut from = 0;
        for line in text.split_inclusive('\n') {
            let start = from;
            from += line.len();
            let body = line.trim_ascii();
            let body = body.strip_prefix("data:").unwrap_or(body).trim_ascii();
            if !encloses_json(body.as_bytes()) || body.starts_with('"') {
                continue;
            }
            let Some(mut value) = self.parsed(body.as_bytes()) else { continue };
            if self.value(&mut value, Place { depth, ..Place::default() }) {
                let at = start + line.find(body).unwrap_or_default();
                edits.replace(at, at + body.len(), &written(&value));
            }
        }
        edits.finish()
    }

    /// A whole string of form data: no white space, `name=value` pairs joined by `&` or `;`, no URL.
    fn form(&self, text: &str, depth: u8) -> Option<String> {
        if !is_form(text.as_bytes()) {
            return None;
        }
        let mut edits = Edits::new(text);
        let mut from = 0;
        while from < text.len() {
            let end = span::pair_end(text.as_bytes(), from);
            if let Some((name, value)) = text[from..end].split_once('=')
                && let Some(clean) = match self.parameter_strategy(name, false) {
                    Some(strategy) => self.parameter_stand_in(value, strategy),
                    None => self.nested(value, depth),
                }
            {
                edits.replace(from + name.len() + 1, end, &clean);
            }
            from = end + 1;
        }
        edits.finish()
    }

    fn plain(&self, text: &str, depth: u8) -> Option<String> {
        let bytes = text.as_bytes();
        let joins_urls = memchr::memchr(b'&', bytes).is_none() || !is_form(bytes) || memchr::memchr(b'?', bytes).is_some();
        scan::clean(self, text, depth, joins_urls)
    }

    /// `Bearer` and, where it is the whole string, `Basic`, with a credential after it.
    #[expect(clippy::unused_self, reason = "one of four passes of the same shape")]
    fn tokens(&self, text: &str, _depth: u8) -> Option<String> {
        static BEARER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("earer "));
        let mut edits = Edits::new(text);
        if let Some((scheme, token)) = text.trim_ascii().split_once(' ')
            && scheme.eq_ignore_ascii_case("basic")
            && is_basic(token)
        {
            let at = text.find(token).unwrap_or_default();
            edits.replace(at, at + token.len(), REDACTED);
        }
        for at in BEARER.find_iter(text.as_bytes()) {
            let from = at + "earer ".len();
            let length = text.as_bytes()[from..].iter().take_while(|b| is_token68(**b)).count();
            let token = &text.as_bytes()[from..from + length];
            let secret = length >= 32 || length >= 8 && token.iter().any(u8::is_ascii_digit);
            if at > 0 && text.as_bytes()[at - 1].eq_ignore_ascii_case(&b'b') && secret {
                edits.replace(from, from + length, REDACTED);
            }
        }
        edits.finish()
    }

    /// The strategy for a parameter of a form or a URL, by its name as it is written there.
    pub(super) fn parameter_strategy(&self, name: &str, in_url: bool) -> Option<Strategy> {
        let name = percent_decode(name);
        // user[password], items[0][token] and user.password name their member last.
        let last = name.trim_end_matches(']').rsplit('[').next().unwrap_or_default();
        let dotted = last.match_indices('.').filter_map(|(at, _)| self.rules.name(&last[at + 1..])).max();
        let listed = is_secret_parameter(&name, in_url).then_some(Strategy::Exclude);
        self.rules.name(&name).max(self.rules.name(last)).max(dotted).max(listed)
    }

    /// What stands for a parameter's value; `None` where it is empty or redacted already.
    pub(super) fn parameter_stand_in(&self, value: &str, strategy: Strategy) -> Option<String> {
        let decoded = percent_decode(value);
        (!decoded.is_empty() && !is_redacted(&decoded)).then(|| self.stand_in(&decoded, strategy).into_owned())
    }

    /// Looks into a percent-encoded value.
    pub(super) fn nested(&self, value: &str, depth: u8) -> Option<String> {
        if depth >= TEXT_DEPTH_MAX || memchr::memchr(b'%', value.as_bytes()).is_none() {
            return None;
        }
        let clean = self.text(&percent_decode(value), Place { depth, ..Place::default() })?;
        Some(percent_encode(&clean))
    }
}

/// No white space, and a name before the first `=` that is neither quoted nor part of a URL.
fn is_form(text: &[u8]) -> bool {
    memchr::memchr(b'=', text).is_some_and(|first| first > 0 && memchr::memchr3(b'?', b'"', b'/', &text[..first]).is_none())
        && !text.iter().any(u8::is_ascii_whitespace)
}

fn encloses_json(text: &[u8]) -> bool {
    matches!((text.first(), text.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) | (Some(b'"'), Some(b'"')))
}

fn written(value: &Value<'_>) -> String {
    String::from_utf8(value.to_verbatim()).expect("JSON that was written from strings is UTF-8")
}

/// RFC 7235, section 2.1.
const fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// Base64 that is no word: `Basic authentication` stays.
fn is_basic(token: &str) -> bool {
    let bytes = token.as_bytes();
    bytes.len() >= 4
        && bytes.iter().all(|b| is_token68(*b))
        && bytes[1..].iter().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || *b == b'=')
}

/// Form decoding (`+` is a space); what is no UTF-8 afterwards is kept as well as it goes.
pub(super) fn percent_decode(text: &str) -> std::borrow::Cow<'_, str> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return text.into();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |n: usize| bytes.get(at + n).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned().into()
}

fn percent_encode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.push(b'%');
            let at = out.len();
            crate::hex::write(&[byte], &mut out);
            out[at..].make_ascii_uppercase();
        }
    }
    out.into_iter().map(char::from).collect()
}
