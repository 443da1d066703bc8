//! Values in URLs.

/// Percent-encoding of everything but the unreserved characters of RFC 3986, section 2.3.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push_str(&indelible_core::hex::encode(&[b]).to_ascii_uppercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_url_is_escaped() {
        for (text, expected) in [("a-b_c.~9", "a-b_c.~9"), ("actor.id eq \"x/y\"", "actor.id%20eq%20%22x%2Fy%22"), ("é&+", "%C3%A9%26%2B")]
        {
            assert_eq!(escaped(text), expected);
        }
    }
}
