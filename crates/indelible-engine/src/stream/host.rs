//! Where a receiver is: a host and a port, read strictly out of a URL or a route; or the name of a file.
//!
//! A host is a plain DNS name, or an address in its one canonical form. What one reader takes for a name and another for an address
//! (`127.1`, `0177.0.0.1`, `2130706433`, `0x7f.1`), and what has to be decoded before it is one, is refused: a name that ends in
//! a number never comes before the system's resolver, which would take it for an address.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name in DNS, without the full stops between its bytes of length (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// A part of a name (the same).
const LABEL_BYTES_MAX: usize = 63;
/// Characters of a refused host that its sentence repeats.
const SHOWN_MAX: usize = 100;
/// What a path and a query have beside letters and digits (RFC 3986, section 3.3 and 3.4).
const TARGET_SIGNS: &[u8] = b"-._~!$&'()*+,;=:@/?%";

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// In lower case.
    Name(String),
    /// An address, which no resolver ever sees.
    Address(IpAddr),
}

impl Host {
    /// Reads what stands in a URL. The error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = |why: &str| Err(format!("the host {:?} {why}", text.chars().take(SHOWN_MAX).collect::<String>()));
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            return match address {
                None => refused("is not an IPv6 address in brackets, without a zone"),
                Some(address) if !format!("[{address}]").eq_ignore_ascii_case(text) => {
                    refused(&format!("is not in the canonical form, which is [{address}]"))
                }
                Some(address) => Ok(Self::Address(address.into())),
            };
        }
        let name = text.to_ascii_lowercase();
        if !name.is_ascii() {
            return refused("is not ASCII: an internationalised name is written with xn--");
        }
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) {
            return refused("has more than letters, digits, hyphens and full stops");
        }
        let too_long = |label: &str| label.len() > LABEL_BYTES_MAX;
        if name.len() > NAME_BYTES_MAX || name.split('.').any(too_long) {
            return refused("is longer than a name can be");
        }
        if name.split('.').any(str::is_empty) {
            return refused("has an empty part: a full stop stands between two parts only");
        }
        if name.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
            return refused("has a part that begins or ends with a hyphen");
        }
        if !ends_in_a_number(&name) {
            return Ok(Self::Name(name));
        }
        match name.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Self::Address(address.into())),
            Err(_) => refused("ends in a number and is not an IPv4 address of four decimal numbers without leading zeros"),
        }
    }
}

/// Whether some reader could take it for an IPv4 address: its last part is decimal, octal or hexadecimal.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let decimal = last.bytes().all(|byte| byte.is_ascii_digit());
    decimal || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// As it stands in a URL.
impl Display for Host {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Reads a port: from 1 to 65535, digits alone.
pub fn port(text: &str) -> Result<u16, String> {
    let digits = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.ok_or_else(|| format!("the port {:?} is not a number from 1 to 65535", text.chars().take(SHOWN_MAX).collect::<String>()))
}

/// A file's name, bytes. With the time, and as that of its owner's file, it stays below what file systems take.
const FILE_NAME_BYTES_MAX: usize = 128;

/// Whether this is the name of a file of streams: one plain part of a path, and none of those that are hidden. The error is a sentence.
pub fn check_file_name(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if plain && !name.is_empty() && name.len() <= FILE_NAME_BYTES_MAX && !name.starts_with('.') {
        return Ok(());
    }
    Err(format!(
        "a file's name has 1 to {FILE_NAME_BYTES_MAX} letters, digits, full stops, hyphens and underscores, and no full stop first"
    ))
}

/// An `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsUrl {
    /// Of the receiver.
    pub host: Host,
    /// 443 where none is said.
    pub port: u16,
    /// Path and query, as a request line has them.
    pub target: String,
}

/// The port of `https`.
const HTTPS_PORT: u16 = 443;

impl HttpsUrl {
    /// Reads one. The error is a sentence that repeats the host at most: paths and queries may be secrets.
    pub fn parse(url: &str) -> Result<Self, String> {
        let scheme = url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        let rest = if scheme { &url[8..] } else { return Err("the URL does not begin with https://".to_owned()) };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("the URL has a user or a password in it".to_owned());
        }
        if !target.bytes().all(|byte| byte.is_ascii_alphanumeric() || TARGET_SIGNS.contains(&byte)) {
            return Err("the path or the query of the URL has a character that must be percent-encoded, or there is a fragment".to_owned());
        }
        let end_of_host = if authority.starts_with('[') { authority.find(']').map_or(authority.len(), |at| at + 1) } else { 0 };
        let (host, after) = match authority[end_of_host..].find(':') {
            Some(colon) => (&authority[..end_of_host + colon], Some(&authority[end_of_host + colon + 1..])),
            None => (authority, None),
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { host: Host::parse(host)?, port: after.map_or(Ok(HTTPS_PORT), port)?, target })
    }

    /// What the header `Host` says.
    pub fn authority(&self) -> String {
        if self.port == HTTPS_PORT { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_canonical_addresses_are_hosts() {
        let cases = [
            ("example.com", "example.com"),
            ("EXAMPLE.com", "example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("collector", "collector"),
            ("1.example", "1.example"),
            ("0x7f.example", "0x7f.example"),
            ("1-2.a1", "1-2.a1"),
            ("93.184.216.34", "93.184.216.34"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
        ];
        for (text, shown) in cases {
            assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Ok(shown), "{text}");
        }
        assert!(matches!(Host::parse("93.184.216.34"), Ok(Host::Address(_))), "an address never comes before the resolver");
    }

    #[test]
    fn what_two_readers_take_for_two_hosts_is_none() {
        let cases = [
            // Other spellings of 127.0.0.1, as inet_aton takes them.
            ("127.1", "ends in a number"),
            ("127.0.1", "ends in a number"),
            ("2130706433", "ends in a number"),
            ("017700000001", "ends in a number"),
            ("0177.0.0.1", "ends in a number"),
            ("127.0.0.01", "ends in a number"),
            ("127.0.0.0x1", "ends in a number"),
            ("0x7f000001", "ends in a number"),
            ("0X7F.1", "ends in a number"),
            ("0x7f.0x0.0x0.0x1", "ends in a number"),
            ("0x", "ends in a number"),
            ("256.0.0.1", "ends in a number"),
            ("1.2.3.4.5", "ends in a number"),
            ("example.0x1", "ends in a number"),
            ("example.1", "ends in a number"),
            // Full stops.
            ("", "empty part"),
            (".", "empty part"),
            ("127.0.0.1.", "empty part"),
            ("example.com.", "empty part"),
            (".example.com", "empty part"),
            ("a..b", "empty part"),
            // What would have to be decoded.
            ("127%2e0%2e0%2e1", "more than letters"),
            ("ex%61mple.com", "more than letters"),
            ("bücher.example", "not ASCII"),
            ("１２７.0.0.1", "not ASCII"),
            ("127。0。0。1", "not ASCII"),
            ("ⓔxample.com", "not ASCII"),
            // What is no name.
            ("local_host", "more than letters"),
            ("a b", "more than letters"),
            ("a\tb", "more than letters"),
            ("a\0.example", "more than letters"),
            ("example.com\n", "more than letters"),
            ("-a.example", "hyphen"),
            ("a-.example", "hyphen"),
            ("*.example", "more than letters"),
            ("::1", "more than letters"),
            // Addresses of IPv6.
            ("[::1", "brackets"),
            ("[]", "brackets"),
            ("[127.0.0.1]", "brackets"),
            ("[fe80::1%eth0]", "without a zone"),
            ("[fe80::1%25eth0]", "without a zone"),
            ("[::1].example", "brackets"),
            ("[0:0:0:0:0:0:0:1]", "canonical"),
            ("[2001:db8::0:1]", "canonical"),
            ("[::ffff:7f00:1]", "canonical"),
        ];
        for (text, words) in cases {
            let error = Host::parse(text).expect_err(text);
            assert!(error.contains(words), "{text:?}: {error}");
        }
        assert!(Host::parse(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(Host::parse(&["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".")).is_err());
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert_eq!(Host::parse(&longest), Ok(Host::Name(longest)));
    }

    #[test]
    fn a_url_is_read_as_it_is_sent() {
        let cases = [
            ("https://example.com", "example.com", 443, "/"),
            ("HTTPS://Example.COM:443/", "example.com", 443, "/"),
            ("https://example.com:8443/a/b?c=%20d", "example.com:8443", 8443, "/a/b?c=%20d"),
            ("https://example.com?q", "example.com", 443, "/?q"),
            ("https://[2001:db8::1]:1/x@y", "[2001:db8::1]:1", 1, "/x@y"),
            ("https://[2001:db8::1]/", "[2001:db8::1]", 443, "/"),
            ("https://192.0.2.1:65535", "192.0.2.1:65535", 65535, "/"),
        ];
        for (text, authority, port, target) in cases {
            let url = HttpsUrl::parse(text).expect(text);
            assert_eq!((url.authority().as_str(), url.port, url.target.as_str()), (authority, port, target), "{text}");
        }
    }

    #[test]
    fn a_url_that_leads_somewhere_else_for_somebody_else_is_none() {
        let cases = [
            ("http://example.com", "https://"),
            ("//example.com", "https://"),
            ("https:/example.com", "https://"),
            ("https:example.com", "https://"),
            ("ａttps://x", "https://"),
            ("https://", "empty part"),
            ("https:///path", "empty part"),
            ("https://user@example.com", "user"),
            ("https://user:pass@example.com/", "user"),
            ("https://example.com@10.0.0.1/", "user"),
            ("https://example.com\\@10.0.0.1/", "percent-encoded"),
            ("https://example.com#@10.0.0.1/", "fragment"),
            ("https://example.com/#x", "fragment"),
            ("https://example.com/a b", "percent-encoded"),
            ("https://example.com/\r\nHost: x", "percent-encoded"),
            ("https://example.com/ü", "percent-encoded"),
            ("https://example.com:", "port"),
            ("https://example.com:0", "port"),
            ("https://example.com:65536", "port"),
            ("https://example.com:+443", "port"),
            ("https://example.com:0443", "port"),
            ("https://example.com:443:443", "port"),
            ("https://example.com:443@10.0.0.1", "user"),
            ("https://[::1]x:443/", "brackets"),
            ("https://[::1/", "brackets"),
            ("https://127.1/", "ends in a number"),
            ("https://2130706433/", "ends in a number"),
        ];
        for (text, words) in cases {
            let error = HttpsUrl::parse(text).expect_err(text);
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
