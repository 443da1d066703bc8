//! Filters, as they are recorded: a value that is compared with a secret member is a secret itself.
//!
//! Works on the text, so that a filter that does not parse is covered too. Refuses nothing.

use super::Rules;
use super::walk::REDACTED;

/// What the words before say of the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// Nothing.
    Anything,
    /// A secret member's name.
    Name,
    /// Its operator: a value comes.
    Operator,
}

impl Rules {
    /// The filter with the values that are compared with secret members replaced.
    pub fn question(&self, filter: &str) -> String {
        let mut out = String::with_capacity(filter.len());
        let mut rest = filter;
        let mut after = After::Anything;
        while let Some(first) = rest.chars().next() {
            let end = match first {
                '"' | '\'' => quoted(rest, first),
                first if is_word(first) => rest.find(|next: char| !is_word(next)).unwrap_or(rest.len()),
                first => first.len_utf8(),
            };
            let (token, tail) = rest.split_at(end);
            rest = tail;
            if first.is_whitespace() {
                out.push_str(token);
                continue;
            }
            after = match after {
                After::Operator if !"()[]".contains(first) => {
                    out.push('"');
                    out.push_str(REDACTED);
                    out.push('"');
                    After::Anything
                }
                before => {
                    out.push_str(token);
                    match before {
                        After::Name if is_word(first) && !token.eq_ignore_ascii_case("pr") => After::Operator,
                        _ if is_word(first) && self.is_secret(token) => After::Name,
                        _ => After::Anything,
                    }
                }
            };
        }
        out
    }

    /// Whether an attribute, or what it ends in, is a secret's name: keys of `context` may hold dots.
    fn is_secret(&self, attribute: &str) -> bool {
        let ends = attribute.match_indices(['.', ':', '/']).map(|(at, _)| &attribute[at + 1..]);
        let by_path = attribute.split_at_checked("context.".len()).filter(|(first, _)| first.eq_ignore_ascii_case("context."));
        let by_path = by_path.and_then(|(_, key)| self.top("context")?.child(key)?.strategy);
        by_path.is_some() || std::iter::once(attribute).chain(ends).any(|name| self.name(name).is_some())
    }
}

fn is_word(character: char) -> bool {
    !character.is_whitespace() && !"()[]\"'".contains(character)
}

/// Where the string ends that `text` begins with; at the end of the text where it is not closed.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            '\\' if !escaped => escaped = true,
            character if character == quote && !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_members_with_a_path_of_their_own_go_too() {
        let rules = Rules::standard().strengthened([("/context/e-mail", crate::redact::Strategy::Hmac)]).expect("a path");
        assert_eq!(
            rules.question(r#"Context.email eq "a@b" and reason eq "email""#),
            r#"Context.email eq "[REDACTED]" and reason eq "email""#
        );
    }

    #[test]
    fn values_of_secret_members_go_and_nothing_else_does() {
        let cases = [
            ("", ""),
            (r#"actor.id eq "alice" and action pr"#, r#"actor.id eq "alice" and action pr"#),
            (r#"context.api_key eq "s3""#, r#"context.api_key eq "[REDACTED]""#),
            (r#"CONTEXT.apiKey CO "s\"3" or reason eq "x""#, r#"CONTEXT.apiKey CO "[REDACTED]" or reason eq "x""#),
            (r#"context.api.key  sw  "s3""#, r#"context.api.key  sw  "[REDACTED]""#),
            (r#"not (context[password ne "s3"])"#, r#"not (context[password ne "[REDACTED]"])"#),
            ("context.token eq s3 and x", r#"context.token eq "[REDACTED]" and x"#),
            ("context.token eq 's 3' x", r#"context.token eq "[REDACTED]" x"#),
            (r#"context.token eq "never closed"#, r#"context.token eq "[REDACTED]""#),
            (r#"context.token pr and reason eq "x""#, r#"context.token pr and reason eq "x""#),
            (r#"usage.input_tokens gt 5 and reason eq "token""#, r#"usage.input_tokens gt 5 and reason eq "token""#),
            (r#"reason eq "ä" and context.secret eq "ö""#, r#"reason eq "ä" and context.secret eq "[REDACTED]""#),
        ];
        let rules = Rules::standard();
        for (filter, expected) in cases {
            assert_eq!(rules.question(filter), expected, "{filter}");
            assert_eq!(rules.question(expected), expected, "twice");
        }
    }
}
