//! What the operator lets streams reach beyond the Internet: `--stream-allow`, an entry each.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::reach::Network;
use indelible_engine::stream::host::{self, Host};

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    place: Place,
    /// Any, where none is named.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A name, to whatever address it leads.
    Name(String),
    /// Addresses, by whatever name they are reached.
    Network(Network),
}

impl Allowed {
    /// Whether a host of this name may be reached, wherever it is.
    pub(super) fn has_name(&self, name: &str, port: u16) -> bool {
        self.has_port(port) && matches!(&self.place, Place::Name(allowed) if allowed == name)
    }

    /// Whether an address may be reached.
    pub(super) fn has_address(&self, address: IpAddr, port: u16) -> bool {
        self.has_port(port) && matches!(self.place, Place::Network(network) if network.contains(address))
    }

    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|allowed| allowed == port)
    }
}

/// `collector.internal`, `collector.internal:6514`, `10.1.2.3`, `10.1.2.3:6514`, `[fd00::1]:6514`, `10.0.0.0/8`.
impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self { place: Place::Network(text.parse()?), port: None });
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self { place: Place::Network(IpAddr::from(address).into()), port: None });
        }
        let bracket = text.find(']').map_or(0, |at| at + 1);
        let (name, port) = match text[bracket..].find(':') {
            Some(colon) => (&text[..bracket + colon], Some(host::port(&text[bracket + colon + 1..])?)),
            None => (text, None),
        };
        let place = match Host::parse(name)? {
            Host::Name(name) => Place::Name(name),
            Host::Address(address) => Place::Network(address.into()),
        };
        Ok(Self { place, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Allowed {
        text.parse().expect(text)
    }

    #[test]
    fn an_entry_allows_what_it_names_and_no_more() {
        let names = [
            ("Collector.Internal", "collector.internal", 1, true),
            ("collector.internal", "a.collector.internal", 443, false),
            ("collector.internal", "internal", 443, false),
            ("collector.internal:6514", "collector.internal", 6514, true),
            ("collector.internal:6514", "collector.internal", 443, false),
            ("10.0.0.0/8", "collector.internal", 443, false),
        ];
        for (entry, name, port, expected) in names {
            assert_eq!(allowed(entry).has_name(name, port), expected, "{entry} {name}:{port}");
        }
        let addresses = [
            ("10.0.0.0/8", "10.255.0.1", 1, true),
            ("10.0.0.0/8", "11.0.0.1", 1, false),
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.1.2.3", "10.1.2.4", 443, false),
            ("10.1.2.3:6514", "10.1.2.3", 6514, true),
            ("10.1.2.3:6514", "10.1.2.3", 443, false),
            ("fd00::1", "fd00::1", 443, true),
            ("[fd00::1]", "fd00::1", 443, true),
            ("[fd00::1]:6514", "fd00::1", 6514, true),
            ("[fd00::1]:6514", "fd00::1", 443, false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", 1, false),
            ("collector.internal", "10.0.0.1", 1, false),
        ];
        for (entry, address, port, expected) in addresses {
            assert_eq!(allowed(entry).has_address(address.parse().expect(address), port), expected, "{entry} {address} {port}");
        }
    }

    #[test]
    fn what_is_no_entry_is_told() {
        let cases = [
            "",
            "*",
            "*.internal",
            "10.0.0.1/8",
            "10.0/8",
            "127.1",
            "a.internal:0",
            "a.internal:",
            "a.internal:x",
            "10.0.0.0/8:443",
            "[fd00::1",
        ];
        for text in cases {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
