//! Query strings, read strictly: every parameter known, once, percent-encoded UTF-8, within its range.

use uuid::Uuid;

use super::problem::{Kind, Problem};

/// A parameter that a URL takes.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// Its values.
    pub(super) values: Values,
    /// One line for the documentation.
    pub(super) doc: &'static str,
}

/// The values of a parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values {
    /// Any text; its length is bounded by whoever reads it.
    Text,
    /// A UUID.
    Uuid,
    /// An integer within these bounds.
    Integer(u64, u64),
    /// The same, that has to be given.
    Needed(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// The parameters of one request.
#[derive(Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(&'static str, String)>,
}

impl Query {
    /// Reads `text`, the part of the URL after `?`.
    pub(super) fn read(text: Option<&str>, known: &'static [Parameter]) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Problem::new(Kind::InvalidQuery, "the query is not percent-encoded UTF-8"));
            };
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                return Err(unknown(known));
            };
            if pairs.iter().any(|(other, _)| *other == parameter.name) {
                return Err(Problem::new(Kind::InvalidQuery, format!("{} is given twice", parameter.name)));
            }
            parameter.check(&value)?;
            pairs.push((parameter.name, value));
        }
        Ok(Self { pairs })
    }

    /// The text of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that was checked to be an integer.
    pub(super) fn integer(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A parameter that was checked to be a UUID.
    pub(super) fn uuid(&self, name: &str) -> Option<Uuid> {
        Uuid::try_parse(self.text(name)?).ok()
    }

    /// The same query with `name` set to `value` in place of `without`, percent-encoded.
    pub(super) fn with(&self, without: &str, name: &str, value: &str) -> String {
        let mut out = String::new();
        let kept = self.pairs.iter().map(|(name, value)| (*name, value.as_str())).filter(|(other, _)| *other != without && *other != name);
        for (name, value) in kept.chain([(name, value)]) {
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(name);
            out.push('=');
            encode(value, &mut out);
        }
        out
    }
}

impl Parameter {
    /// Whether it has to be given.
    pub(super) const fn is_needed(&self) -> bool {
        matches!(self.values, Values::Needed(..))
    }

    fn check(&self, value: &str) -> Result<(), Problem> {
        let name = self.name;
        let wrong = match self.values {
            Values::Text => return Ok(()),
            Values::Uuid if Uuid::try_parse(value).is_ok() => return Ok(()),
            Values::Uuid => format!("{name} must be a UUID"),
            Values::Integer(low, high) | Values::Needed(low, high) => {
                let digits = !value.is_empty() && value.len() <= 20 && value.bytes().all(|byte| byte.is_ascii_digit());
                if digits && value.parse::<u64>().is_ok_and(|number| (low..=high).contains(&number)) {
                    return Ok(());
                }
                format!("{name} must be an integer from {low} to {high}")
            }
            Values::Choice(words) if words.contains(&value) => return Ok(()),
            Values::Choice(words) => format!("{name} must be one of: {}", words.join(", ")),
        };
        Err(Problem::new(Kind::InvalidQuery, wrong))
    }
}

fn unknown(known: &[Parameter]) -> Problem {
    let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
    let detail = match names.as_slice() {
        [] => "this URL takes no parameters".to_owned(),
        names => format!("an unknown parameter; this URL takes: {}", names.join(", ")),
    };
    Problem::new(Kind::InvalidQuery, detail)
}

/// Undoes percent-encoding (RFC 3986, section 2.1); `+` is a space, as forms write it. `None` for what is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// Appends `text` with everything but the unreserved characters of RFC 3986 percent-encoded.
pub(super) fn encode(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', char::from(DIGITS[usize::from(byte >> 4)]), char::from(DIGITS[usize::from(byte & 15)])]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static KNOWN: &[Parameter] = &[
        Parameter { name: "filter", values: Values::Text, doc: "" },
        Parameter { name: "limit", values: Values::Integer(1, 10), doc: "" },
        Parameter { name: "project_id", values: Values::Uuid, doc: "" },
        Parameter { name: "order", values: Values::Choice(&["asc", "desc"]), doc: "" },
    ];

    #[test]
    fn what_is_not_right_is_refused() {
        let cases = [
            ("other=1", "an unknown parameter; this URL takes: filter, limit, project_id, order"),
            ("limit=1&limit=2", "limit is given twice"),
            ("limit=0", "limit must be an integer from 1 to 10"),
            ("limit=+1", "limit must be an integer from 1 to 10"),
            ("limit", "limit must be an integer from 1 to 10"),
            ("order=up", "order must be one of: asc, desc"),
            ("project_id=x", "project_id must be a UUID"),
            ("filter=%", "the query is not percent-encoded UTF-8"),
            ("filter=%4", "the query is not percent-encoded UTF-8"),
            ("filter=%ff", "the query is not percent-encoded UTF-8"),
            ("%66ilter=a&filter=b", "filter is given twice"),
        ];
        for (text, detail) in cases {
            assert_eq!(Query::read(Some(text), KNOWN).expect_err(text).detail, detail, "{text}");
        }
        assert_eq!(Query::read(Some("a=1"), &[]).expect_err("none").detail, "this URL takes no parameters");
    }

    #[test]
    fn the_next_page_repeats_the_rest() {
        let query = Query::read(Some("filter=a+eq%20%22%C3%A9%22&limit=3"), KNOWN).expect("valid");
        assert_eq!(query.text("filter"), Some("a eq \"é\""));
        assert_eq!(query.with("cursor", "cursor", "x_y"), "filter=a%20eq%20%22%C3%A9%22&limit=3&cursor=x_y");
        assert_eq!(query.with("limit", "cursor", "z"), "filter=a%20eq%20%22%C3%A9%22&cursor=z");
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(text in any::<String>()) {
            let mut encoded = String::new();
            encode(&text, &mut encoded);
            prop_assert_eq!(decode(&encoded), Some(text));
        }
    }
}
