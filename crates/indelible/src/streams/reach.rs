//! Which addresses a server on the Internet has, and networks: what is kept for other purposes is named, with its source.
//!
//! After the IANA IPv4 and IPv6 Special-Purpose Address Registries as they were in October 2025, the multicast registries, and RFC 3879 and
//! RFC 4291 for what was withdrawn. Of IPv6 only 2000::/3 is assigned to anybody, so that everything outside of it is refused whatever
//! comes to be registered there.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Where it begins, bits of prefix, what it is for.
const IPV4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::UNSPECIFIED, 8, "this network, RFC 791"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private, RFC 1918"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared between carriers, RFC 6598"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback, RFC 1122"),
    // The port for platform services of Azure's machines, which none but they can reach; no registry has it.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's platform services"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local, where clouds have metadata, RFC 3927"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private, RFC 1918"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments, RFC 6890"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation, RFC 5737"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "relays of 6to4, RFC 7526"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private, RFC 1918"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking, RFC 2544"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation, RFC 5737"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation, RFC 5737"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast, RFC 5771"),
    (Ipv4Addr::BROADCAST, 32, "broadcast, RFC 919"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved, RFC 1112"),
];

/// The same of IPv6. What is more special stands first.
const IPV6: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified, RFC 4291"),
    (Ipv6Addr::LOCALHOST, 128, "loopback, RFC 4291"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "IPv4-mapped, RFC 4291"),
    (Ipv6Addr::UNSPECIFIED, 96, "IPv4-compatible, RFC 4291"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "translation within a network, RFC 8215"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discarded, RFC 6666"),
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, "a dummy, RFC 9780"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo, RFC 4380"),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, "benchmarking, RFC 5180"),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, "ORCHID, RFC 4843"),
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28, "ORCHIDv2, RFC 7343"),
    (Ipv6Addr::new(0x2001, 0x30, 0, 0, 0, 0, 0, 0), 28, "tags of drones, RFC 9374"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments, RFC 2928"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation, RFC 3849"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4, RFC 3056"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation, RFC 9637"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "segment routing, RFC 9602"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique local, RFC 4193"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local, RFC 4291"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local, RFC 3879"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast, RFC 4291"),
];

/// NAT64 (RFC 6052): the last 32 bits are an IPv4 address, and a gateway takes what is sent there to it.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
/// What is assigned as global unicast.
const GLOBAL_UNICAST: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What an address is for, where it is not one that a server on the Internet has.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            IPV4.iter().find(|(base, prefix, _)| is_within(address.into(), (*base).into(), *prefix)).map(|(_, _, what)| *what)
        }
        IpAddr::V6(address) => {
            let within = |base: Ipv6Addr, prefix| is_within(address.into(), base.into(), prefix);
            if within(NAT64.0, NAT64.1) {
                let [.., a, b, c, d] = address.octets();
                return special(Ipv4Addr::new(a, b, c, d).into());
            }
            let named = IPV6.iter().find(|(base, prefix, _)| within(*base, *prefix)).map(|(_, _, what)| *what);
            named.or_else(|| (!within(GLOBAL_UNICAST.0, GLOBAL_UNICAST.1)).then_some("not assigned, RFC 4291"))
        }
    }
}

/// Whether the first bits are the same; two families have none in common.
fn is_within(address: IpAddr, base: IpAddr, prefix: u8) -> bool {
    let prefix = u32::from(prefix);
    match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => (address.to_bits() ^ base.to_bits()).checked_shr(32 - prefix).unwrap_or(0) == 0,
        (IpAddr::V6(address), IpAddr::V6(base)) => (address.to_bits() ^ base.to_bits()).checked_shr(128 - prefix).unwrap_or(0) == 0,
        _ => false,
    }
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address lies in it.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        is_within(address, self.base, self.prefix)
    }
}

/// One address.
impl From<IpAddr> for Network {
    fn from(base: IpAddr) -> Self {
        Self { base, prefix: if base.is_ipv4() { 32 } else { 128 } }
    }
}

/// `10.0.0.0/8`, `fd00::/8`. Refuses bits beyond the prefix: whoever wrote them meant another network.
impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not a network: an address, a slash and the bits of its prefix");
        let (base, prefix) = text.split_once('/').ok_or_else(refused)?;
        let base: IpAddr = base.parse().map_err(|_| refused())?;
        let bits = Network::from(base).prefix;
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|prefix| digits && *prefix <= bits).ok_or_else(refused)?;
        let first: IpAddr = match base {
            IpAddr::V4(base) => Ipv4Addr::from_bits(base.to_bits() & u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0)).into(),
            IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits() & u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0)).into(),
        };
        if first != base {
            return Err(format!("{text:?} has bits beyond its prefix: the network is {first}/{prefix}"));
        }
        Ok(Self { base, prefix })
    }
}

impl Display for Network {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_is_told_at_both_ends_of_its_range() {
        let cases = [
            ("0.0.0.0", "0.255.255.255", "this network"),
            ("10.0.0.0", "10.255.255.255", "private"),
            ("100.64.0.0", "100.127.255.255", "shared"),
            ("127.0.0.0", "127.255.255.255", "loopback"),
            ("168.63.129.16", "168.63.129.16", "platform"),
            ("169.254.0.0", "169.254.255.255", "metadata"),
            ("172.16.0.0", "172.31.255.255", "private"),
            ("192.0.0.0", "192.0.0.255", "protocol"),
            ("192.0.2.0", "192.0.2.255", "documentation"),
            ("192.88.99.0", "192.88.99.255", "6to4"),
            ("192.168.0.0", "192.168.255.255", "private"),
            ("198.18.0.0", "198.19.255.255", "benchmarking"),
            ("198.51.100.0", "198.51.100.255", "documentation"),
            ("203.0.113.0", "203.0.113.255", "documentation"),
            ("224.0.0.0", "239.255.255.255", "multicast"),
            ("240.0.0.0", "255.255.255.254", "reserved"),
            ("255.255.255.255", "255.255.255.255", "broadcast"),
            ("::", "::", "unspecified"),
            ("::1", "::1", "loopback"),
            ("::2", "::ffff:ffff", "IPv4-compatible"),
            ("::ffff:0.0.0.0", "::ffff:255.255.255.255", "IPv4-mapped"),
            ("::ffff:93.184.216.34", "::ffff:8.8.8.8", "IPv4-mapped"),
            ("64:ff9b::10.0.0.1", "64:ff9b::10.255.0.1", "private"),
            ("64:ff9b::169.254.169.254", "64:ff9b::a9fe:1", "metadata"),
            ("64:ff9b::7f00:1", "64:ff9b::127.1.2.3", "loopback"),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "translation"),
            ("64:ff9b::1:0:0", "64:ff9b:0:1::", "not assigned"),
            ("100::", "100::ffff:ffff:ffff:ffff", "discarded"),
            ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", "dummy"),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
            ("2001:1::1", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "protocol"),
            ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking"),
            ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", "ORCHID,"),
            ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", "ORCHIDv2"),
            ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", "drones"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "segment"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique local"),
            ("fd00:ec2::254", "fd20:ce::254", "unique local"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
            ("::1:0:0", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not assigned"),
            ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not assigned"),
            ("6000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not assigned"),
        ];
        for (first, last, words) in cases {
            for address in [first, last] {
                let told = special(address.parse().expect(address));
                assert!(told.is_some_and(|what| what.contains(words)), "{address}: {told:?} and not {words}");
            }
        }
    }

    #[test]
    fn what_lies_beside_them_is_not() {
        let cases = [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "64:ff9b::93.184.216.34",
            "2000::1",
            "2001:200::",
            "2001:db7:ffff::1",
            "2001:db9::",
            "2003::",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
            "3fff:1000::",
        ];
        for address in cases {
            assert_eq!(special(address.parse().expect(address)), None, "{address}");
        }
    }

    #[test]
    fn a_network_has_what_its_prefix_says() {
        let cases = [
            ("10.1.0.0/16", "10.1.255.255", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.2", false),
            ("0.0.0.0/0", "255.0.0.1", true),
            ("0.0.0.0/0", "::ffff:10.0.0.1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::/0", "fd00::1", true),
            ("::/0", "10.0.0.1", false),
        ];
        for (network, address, expected) in cases {
            let parsed: Network = network.parse().expect(network);
            assert_eq!((parsed.to_string().as_str(), parsed.contains(address.parse().expect(address))), (network, expected), "{address}");
        }
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.1/16",
            "010.0.0.0/8",
            "::/129",
            "x/8",
            "::1%lo/128",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let error = "10.0.0.1/8".parse::<Network>().expect_err("bits beyond the prefix");
        assert!(error.contains("10.0.0.0/8"), "{error}");
    }
}
