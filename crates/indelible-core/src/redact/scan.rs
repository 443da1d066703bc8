//! The scan over text that is no whole JSON: URLs, parameters, header lines, names and values of JSON that is cut off, quoted
//! inside other text or escaped, and multipart forms.
//!
//! It stops only at `:` and `=` and looks around: back over at most [`NAME_BYTES_MAX`] bytes of name, forward to the end of the
//! value, which it then skips. So its cost is linear in the text, whatever the text is.

use super::rule::{Strategy, is_plain_secret_header, is_secret_header};
use super::span::{self, Joined, Literal};
use super::text::Edits;
use super::walk::{REDACTED, Redactor, is_ambiguous_header, looks_like_credential};

/// A name in text is looked for so far back, bytes.
const NAME_BYTES_MAX: usize = 96;
/// User and password in a URL are looked for so far on, bytes.
const USERINFO_BYTES_MAX: usize = 4_096;
/// The rest of a password after a raw `/`, `?` or `#` in it is looked for so far on, bytes.
const RAW_PASSWORD_BYTES_MAX: usize = 256;
/// So much of a line decides whether it is the value of `Authorization` or `Cookie`, bytes.
const CREDENTIAL_BYTES_SEEN: usize = 256;

/// A command is looked for so far before its option, bytes.
const COMMAND_BYTES_SEEN: usize = 256;
/// Whether what a `;` joins is part of a URL is looked for so far before it, bytes.
const PATH_BYTES_SEEN: usize = 256;

/// A place to replace and what with, in bytes of the text.
struct Find {
    from: usize,
    to: usize,
    with: String,
}

/// What no URL in text goes on with.
const fn is_url_end(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\' | b'\'')
}

/// What the name of a user before a password is made of.
const fn is_user(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'+')
}

struct Scan<'t, 'r> {
    redactor: &'r Redactor<'r>,
    text: &'t str,
    bytes: &'t [u8],
    depth: u8,
    /// Whether what `&` joins is taken for part of a URL. It is not where the whole text is a form.
    joins_urls: bool,
    /// After `"name":"password"`: where its value ended, and the strategy for a `"value"` that comes right after.
    paired: Option<(usize, Strategy)>,
}

/// The text without the secrets that it shows, or `None` where it shows none.
pub(super) fn clean(redactor: &Redactor<'_>, text: &str, depth: u8, joins_urls: bool) -> Option<String> {
    let mut scan = Scan { redactor, text, bytes: text.as_bytes(), depth, joins_urls, paired: None };
    let mut edits = Edits::new(text);
    let mut resume = 0;
    for at in memchr::memchr2_iter(b':', b'=', text.as_bytes()) {
        if at < resume {
            continue;
        }
        let found = if scan.bytes[at] == b':' { scan.colon(at) } else { scan.equals(at) };
        if let Some(find) = found {
            edits.replace(find.from, find.to, &find.with);
            resume = find.to;
        }
    }
    edits.finish()
}

impl<'t> Scan<'t, '_> {
    fn colon(&mut self, at: usize) -> Option<Find> {
        let after = &self.bytes[at + 1..];
        if after.starts_with(b"//") {
            return self.authority(at + 3);
        }
        if after.starts_with(b"\\/\\/") {
            return self.authority(at + 5);
        }
        let end = at - self.bytes[..at].iter().rev().take(8).take_while(|b| matches!(b, b' ' | b'\t')).count();
        match *self.bytes[..end].last()? {
            b'"' | b'\'' => self.json_member(end - 1, at + 1),
            byte if end == at && is_user(byte) => match self.relative_authority(at) {
                Some(from) => self.authority(from),
                None => self.command_user(at).or_else(|| if byte.is_ascii_alphabetic() { self.header_line(at) } else { None }),
            },
            _ => None,
        }
    }

    /// Where the authority of `//user:password@host` begins, a reference without a scheme (RFC 3986, section 4.2), for the `:` in it.
    fn relative_authority(&self, colon: usize) -> Option<usize> {
        let from = colon - self.name_before(colon, is_user)?.len();
        let before = self.bytes[..from].strip_suffix(b"//")?;
        if !before.last().is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`' | b'(' | b'<' | b'=' | b',' | b'[')) {
            return None;
        }
        let rest = &self.bytes[colon + 1..self.bytes.len().min(colon + 1 + USERINFO_BYTES_MAX)];
        let host = rest.iter().take_while(|b| !is_url_end(**b) && !matches!(b, b'/' | b'?' | b'#')).count();
        let at_sign = memchr::memchr(b'@', &rest[..host])?;
        rest.get(at_sign + 1).is_some_and(u8::is_ascii_alphanumeric).then_some(from)
    }

    /// `curl -u user:password`.
    fn command_user(&self, colon: usize) -> Option<Find> {
        let start = colon - self.name_before(colon, |b| is_user(b) || b == b'@')?.len();
        let head = &self.bytes[start.saturating_sub(COMMAND_BYTES_SEEN)..start];
        let quote = head.last().copied().filter(|b| matches!(b, b'"' | b'\''));
        let option = head[..head.len() - usize::from(quote.is_some())].trim_ascii_end();
        if !(option.ends_with(b" -u") || option.ends_with(b" --user")) || memchr::memmem::find(option, b"curl").is_none() {
            return None;
        }
        let from = colon + 1;
        let ends = |b: &u8| matches!(b, b'"' | b'\'' | b'\n' | b'\r') || quote.is_none() && (b.is_ascii_whitespace() || *b == b'\\');
        let to = from + self.bytes[from..].iter().position(ends).unwrap_or(self.bytes.len() - from);
        (from < to).then(|| Find { from, to, with: REDACTED.to_owned() })
    }

    /// `user:password@` after `://`. The user stays unless it looks like a token itself.
    fn authority(&self, from: usize) -> Option<Find> {
        let rest = &self.bytes[from..self.bytes.len().min(from + USERINFO_BYTES_MAX)];
        let stop = |b: &u8| is_url_end(*b);
        let host = rest.iter().take_while(|b| !stop(b) && !matches!(b, b'/' | b'?' | b'#')).count();
        let at_sign = memchr::memrchr(b'@', &rest[..host]).or_else(|| {
            // A password with a raw `/`, `?` or `#` in it: what stands after the colon is no port then.
            let port = memchr::memrchr(b':', &rest[..host]).map(|colon| &rest[colon + 1..host])?;
            if port.is_empty() || port.iter().all(u8::is_ascii_digit) || port.ends_with(b"]") {
                return None;
            }
            let run = rest.iter().take(host + RAW_PASSWORD_BYTES_MAX).take_while(|b| !stop(b)).count();
            memchr::memrchr(b'@', &rest[..run])
        })?;
        let userinfo = &self.text[from..from + at_sign];
        let (user, password) = userinfo.split_once(':').map_or((userinfo, None), |(user, password)| (user, Some(password)));
        let is_token =
            user.len() >= 20 && user.bytes().any(|b| b.is_ascii_digit()) && !user.contains(['.', '@', '%']) || user.contains("sk_");
        if password.is_none() && !is_token {
            return None;
        }
        if is_token || user.is_empty() {
            return Some(Find { from, to: from + at_sign + 1, with: String::new() });
        }
        Some(Find { from: from + user.len(), to: from + at_sign, with: String::new() })
    }

    /// `"name": value` whose name ends at the quote `close`, escaped any number of times.
    fn json_member(&mut self, close: usize, after: usize) -> Option<Find> {
        let quote = self.bytes[close];
        let end = close - span::backslashes_before(self.bytes, close);
        let floor = end.saturating_sub(NAME_BYTES_MAX);
        let open = floor + memchr::memrchr(quote, &self.bytes[floor..end])?;
        let text = self.text;
        let raw = &text[open + 1..end];
        let quoted = if raw.contains('\\') { format!("\"{raw}\"") } else { String::new() };
        let unescaped = crate::json::parse(quoted.as_bytes()).ok();
        let name = unescaped.as_ref().and_then(|value| value.as_str()).unwrap_or(raw);
        let paired = self.paired.take().filter(|(end, _)| {
            name.eq_ignore_ascii_case("value")
                && self.bytes[*end..open].iter().all(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b',' | b'\\'))
        });
        let by_name = self.redactor.rules.name(name).max(is_plain_secret_header(name).then_some(Strategy::Exclude));
        let Some(strategy) = by_name.max(paired.map(|(_, strategy)| strategy)) else {
            return self.json_string(name, after);
        };
        let literal = span::literal(self.bytes, after)?;
        let with = self.stand_in(&literal, strategy);
        Some(Find { from: literal.from, to: literal.to, with })
    }

    /// A member whose value decides: `"cookie": "a=b"`, and `"name": "password"` for the `"value"` that follows.
    fn json_string(&mut self, name: &str, after: usize) -> Option<Find> {
        let is_name = name.eq_ignore_ascii_case("name") || name.eq_ignore_ascii_case("key");
        if !is_name && !is_ambiguous_header(name) {
            return None;
        }
        let literal = span::string(self.bytes, after)?;
        let value = &self.text[literal.from..literal.to];
        if is_name {
            let header = is_secret_header(value).then_some(Strategy::Exclude);
            self.paired = self.redactor.rules.name(value).max(header).map(|strategy| (literal.to, strategy));
            return None;
        }
        looks_like_credential(name, value).then(|| Find { from: literal.from, to: literal.to, with: REDACTED.to_owned() })
    }

    fn stand_in(&self, literal: &Literal, strategy: Strategy) -> String {
        let text = &self.text[literal.from..literal.to];
        if literal.quoted {
            if super::walk::is_redacted(text) {
                return text.to_owned();
            }
            if strategy == Strategy::Hmac
                && let Ok(value) = crate::json::parse(format!("\"{text}\"").as_bytes())
                && let Some(text) = value.as_str()
            {
                return self.redactor.stand_in(text, strategy).into_owned();
            }
            return REDACTED.to_owned();
        }
        let quote = format!("{}\"", "\\".repeat(literal.escapes));
        format!("{quote}{REDACTED}{quote}")
    }

    /// `Authorization: Bearer …` up to the end of the line, or of the quotes around it.
    fn header_line(&self, colon: usize) -> Option<Find> {
        let name = self.name_before(colon, |b| b.is_ascii_alphanumeric() || b == b'-')?;
        let start = colon - name.len();
        let before = start.checked_sub(1).map(|at| self.bytes[at]);
        if matches!(before, Some(b'_' | b'.' | b'$' | b'@' | b'/')) {
            return None;
        }
        let quote = before.filter(|b| matches!(b, b'"' | b'\'' | b'`'));
        let spaces = self.bytes[colon + 1..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let mut from = colon + 1 + spaces;
        let own_quote = self.bytes.get(from).copied().filter(|b| matches!(b, b'"' | b'\'' | b'`'));
        from += usize::from(own_quote.is_some());
        let secret = match quote {
            Some(_) => is_secret_header(name) && (spaces > 0 || !is_ambiguous_header(name)),
            None if is_ambiguous_header(name) => self.is_credential_line(name, from),
            None => is_plain_secret_header(name),
        };
        if !secret {
            return None;
        }
        let to = span::line_end(self.bytes, from, own_quote.or(quote));
        (from < to).then(|| Find { from, to, with: REDACTED.to_owned() })
    }

    /// Whether the line from `from` on begins like the value of a header. Only its beginning counts, so that the cost is bounded.
    fn is_credential_line(&self, name: &str, from: usize) -> bool {
        let near = &self.bytes[..self.bytes.len().min(from + CREDENTIAL_BYTES_SEEN)];
        looks_like_credential(name, &String::from_utf8_lossy(&near[from..span::line_end(near, from, None)]))
    }

    fn equals(&self, at: usize) -> Option<Find> {
        let next = *self.bytes.get(at + 1)?;
        if next.is_ascii_whitespace() || next == b'=' {
            return None;
        }
        let name = self.name_before(at, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'%' | b'[' | b']' | b'~'))?;
        let start = at - name.len();
        let before = start.checked_sub(1).map(|at| self.bytes[at]);
        let escaped = before == Some(b'\\') && ["u0026", "u003f", "u003F", "u0023"].iter().any(|known| name.starts_with(known));
        let (name, in_url) = match before {
            Some(b'?' | b'#') => (name, true),
            Some(b'&') => (name, self.joins_urls),
            Some(b';') if self.text[..start].ends_with("&amp;") => (name, true),
            _ if escaped => (&name["u0026".len()..], true),
            Some(b'"' | b'\'' | b'`') if !matches!(next, b'"' | b'\'') => (name, false),
            Some(b';') => return self.joined(name, at + 1, start - 1),
            None | Some(b' ' | b'\t' | b'\n' | b'\r') => {
                let gap = self.bytes[..start].iter().rev().take_while(|b| **b == b' ').take(8).count();
                let joined = || if self.bytes[..start - gap].ends_with(b";") { self.joined(name, at + 1, start - gap - 1) } else { None };
                return self.assignment(name, at + 1, before).or_else(joined);
            }
            _ => return None,
        };
        let value = |to: usize| &self.text[at + 1..to];
        if let Some(strategy) = self.redactor.parameter_strategy(name, in_url) {
            let to = span::parameter_end(self.bytes, at + 1, before, Joined::ByAmpersands, false);
            let with = self.redactor.parameter_stand_in(value(to), strategy)?;
            return Some(Find { from: at + 1, to, with });
        }
        let to = span::parameter_end(self.bytes, at + 1, before, Joined::ByAmpersands, true);
        let with = self.redactor.nested(value(to), self.depth)?;
        Some(Find { from: at + 1, to, with })
    }

    /// `;token=x`: a parameter in the path or query of a URL, or part of a string by which something is connected to. Source code has
    /// assignments behind `;` too, but seldom without white space, and of what is no call.
    fn joined(&self, name: &str, from: usize, semicolon: usize) -> Option<Find> {
        let near = &self.bytes[semicolon.saturating_sub(PATH_BYTES_SEEN)..semicolon];
        let in_url = near.iter().rev().take_while(|b| !is_url_end(**b)).any(|b| matches!(b, b'/' | b'?'));
        let strategy = self.redactor.parameter_strategy(name, in_url)?;
        let to = span::parameter_end(self.bytes, from, None, Joined::BySemicolons, false);
        let value = &self.text[from..to];
        if !in_url && value.contains(['(', '$', '{']) {
            return None;
        }
        let with = self.redactor.parameter_stand_in(value.strip_suffix(';').unwrap_or(value), strategy)?;
        Some(Find { from, to, with })
    }

    /// `--password=x`, `API_KEY=x` as a shell or an `.env` file has them, and the name of a multipart form's part. Names in lower
    /// case before `=` are source code, and stay.
    fn assignment(&self, name: &str, from: usize, before: Option<u8>) -> Option<Find> {
        if name.eq_ignore_ascii_case("name") && before == Some(b' ') {
            return self.form_part(from);
        }
        let is_flag = name.starts_with("--");
        let is_variable = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !is_flag && !is_variable {
            return None;
        }
        let strategy = self.redactor.rules.name(name)?;
        let quote = self.bytes.get(from).copied().filter(|b| matches!(b, b'"' | b'\''));
        let from = from + usize::from(quote.is_some());
        let to = match quote {
            Some(_) => span::line_end(self.bytes, from, quote),
            None => {
                from + self.bytes[from..]
                    .iter()
                    .take_while(|b| !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\'' | b'\\' | b'`'))
                    .count()
            }
        };
        let value = &self.text[from..to];
        (!value.is_empty() && !super::walk::is_redacted(value)).then(|| Find {
            from,
            to,
            with: self.redactor.stand_in(value, strategy).into_owned(),
        })
    }

    /// `Content-Disposition: form-data; name="token"`: the part's body (RFC 7578).
    fn form_part(&self, from: usize) -> Option<Find> {
        const BEFORE: &[u8] = b"form-data; name=";
        if !self.bytes[from.checked_sub(BEFORE.len())?..from].eq_ignore_ascii_case(BEFORE) {
            return None;
        }
        let quoted = span::string(self.bytes, from)?;
        let name = &self.text[quoted.from..quoted.to];
        let listed = super::rule::is_secret_parameter(name, false).then_some(Strategy::Exclude);
        let strategy = self.redactor.rules.name(name).max(listed)?;
        let (from, to) = span::part_body(self.bytes, quoted.to)?;
        let value = &self.text[from..to];
        (!value.is_empty() && !super::walk::is_redacted(value)).then(|| Find {
            from,
            to,
            with: self.redactor.stand_in(value, strategy).into_owned(),
        })
    }

    /// The name that ends at `end`: at least one byte, at most [`NAME_BYTES_MAX`].
    fn name_before(&self, end: usize, is_name: impl Fn(u8) -> bool) -> Option<&'t str> {
        let length = self.bytes[..end].iter().rev().take(NAME_BYTES_MAX + 1).take_while(|b| is_name(**b)).count();
        (1..=NAME_BYTES_MAX).contains(&length).then(|| &self.text[end - length..end])
    }
}
