//! [`Value`] to text: canonical (RFC 8785, numbers excepted) or in its own order.

use super::order::with_order;
use super::plain::plain_length;
use super::{Object, Value};

/// Appends `value` as RFC 8785 would write it: names sorted by UTF-16 code unit, no white space, shortest
/// escapes. Numbers are written as their source text: entries hold plain integers only, and the numbers of
/// content are kept as they came.
pub fn write_canonical(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => list(out, b'[', b']', items, |item, out| write_canonical(item, out)),
        Value::Object(object) => write_sorted(object, out),
        scalar => write_scalar(scalar, out),
    }
}

fn write_sorted(object: &Object<'_>, out: &mut Vec<u8>) {
    let member = |(name, value): (&str, &Value<'_>), out: &mut Vec<u8>| {
        write_string(name, out);
        out.push(b':');
        write_canonical(value, out);
    };
    with_order(&object.members.iter().map(|(name, _)| name.as_ref()), |sorted| match sorted {
        None => list(out, b'{', b'}', object.iter(), member),
        Some(keys) => list(out, b'{', b'}', keys.iter().map(|(_, name, at)| (*name, &object.members[*at].1)), member),
    });
}

/// Appends `value` as compact JSON, members in the order they have.
pub fn write_verbatim(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => list(out, b'[', b']', items, |item, out| write_verbatim(item, out)),
        Value::Object(object) => list(out, b'{', b'}', object.iter(), |(name, value), out| {
            write_string(name, out);
            out.push(b':');
            write_verbatim(value, out);
        }),
        scalar => write_scalar(scalar, out),
    }
}

fn list<T>(out: &mut Vec<u8>, open: u8, close: u8, items: impl IntoIterator<Item = T>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    out.push(open);
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}

fn write_scalar(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(text) => out.extend_from_slice(text.as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(_) | Value::Object(_) => write_verbatim(value, out),
    }
}

/// Appends `text` as a JSON string with the shortest escapes (RFC 8785, section 3.2.2.2).
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let at = plain_length(rest);
        let Some(byte) = rest.get(at).copied() else { break };
        let short = match byte {
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1f => b'u',
            quoted => quoted,
        };
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            out.extend_from_slice(b"00");
            crate::hex::write(&[byte], out);
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    /// The sorting example of RFC 8785, section 3.2.3, and the string example of section 3.2.2.
    #[test]
    fn canonical_agrees_with_the_examples_of_rfc_8785() {
        let input = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let out = String::from_utf8(parse(input.as_bytes()).expect("valid").to_canonical()).expect("UTF-8");
        let names: Vec<&str> = ["\\r", "1", "\u{80}", "ö", "€", "😀", "\u{fb33}"].to_vec();
        let places: Vec<_> = names.iter().map(|name| out.find(&format!("\"{name}\":")).expect("present")).collect();
        assert!(places.is_sorted(), "{out}");
        let string = r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#;
        assert_eq!(parse(string.as_bytes()).expect("valid").to_canonical(), r#""€$\u000f\nA'B\"\\\\\"/""#.as_bytes());
    }
}
