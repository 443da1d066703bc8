//! The guard against requests that a tenant has the server make where only the server can reach (SSRF).
//!
//! A name is resolved here and nowhere else, every address that it leads to is looked at, and a connection is made to a [`Checked`]
//! address, which only this file makes: a name that leads elsewhere a moment later changes nothing. Where one address of several is not
//! allowed, all are refused: a name that leads inside and outside at once is either wrong or an attempt.
//!
//! Whoever made the stream is told what kind of address it was and not which: names within a network are not for him to look up.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::allowed::Allowed;
use super::reach::special;
use indelible_engine::stream::host::Host;

/// Addresses of each family that are tried: of IPv6 and of IPv4, so that either can be out of order.
const FAMILY_ADDRESSES_MAX: usize = 2;
/// Lookups at a time. Each has a thread until the system gives up, and threads are needed for other things.
const LOOKUPS_MAX: usize = 64;

/// What comes of looking up a name.
pub(super) type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Looks up names.
pub(super) trait Resolver: Send + Sync + 'static {
    /// All addresses of a name, best first.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// The system's, as it is set up in /etc/nsswitch.conf: files, DNS, search lists.
pub(super) struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS_MAX)))
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let place = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            // The place is kept by the thread: who waits may give up before the system does.
            let looked_up = tokio::task::spawn_blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
                drop(place);
                found
            });
            looked_up.await.map_err(io::Error::other)?
        })
    }
}

/// An address that may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    address: SocketAddr,
    is_listed: bool,
}

impl Checked {
    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a connection from `own` to it may be used: one to this machine itself has the same address at both ends, which is no
    /// special one where the machine has one of the Internet.
    pub(super) fn allows(&self, own: SocketAddr) -> Result<(), String> {
        if !self.is_listed && own.ip() == self.address.ip() {
            return Err("it leads to this machine itself, which --stream-allow does not name".to_owned());
        }
        Ok(())
    }
}

/// The guard.
pub(super) struct Guard {
    allowed: Vec<Allowed>,
    resolver: Box<dyn Resolver>,
}

impl Guard {
    pub(super) fn new(allowed: Vec<Allowed>, resolver: impl Resolver) -> Self {
        Self { allowed, resolver: Box::new(resolver) }
    }

    /// Where a host is, if it may be reached: never none. The error is a sentence.
    pub(super) async fn find(&self, host: &Host, port: u16) -> Result<Vec<Checked>, String> {
        let (addresses, is_listed) = match host {
            Host::Address(address) => (vec![*address], false),
            Host::Name(name) => {
                let found = self.resolver.resolve(name).await.map_err(|error| {
                    tracing::debug!(target: "indelible::streams", name, %error, "a name was not found");
                    format!("the host {host} was not found")
                })?;
                (found, self.allowed.iter().any(|entry| entry.has_name(name, port)))
            }
        };
        let mut checked = Vec::with_capacity(addresses.len());
        for address in addresses {
            let is_listed = is_listed || self.allowed.iter().any(|entry| entry.has_address(address, port));
            if let Some(what) = special(address).filter(|_| !is_listed) {
                tracing::debug!(target: "indelible::streams", %host, port, %address, what, "an address was refused");
                return Err(format!(
                    "{host} leads to an address that streams do not reach ({what}): --stream-allow of the server can allow it"
                ));
            }
            let address = SocketAddr::new(address, port);
            if !checked.iter().any(|known: &Checked| known.address == address) {
                checked.push(Checked { address, is_listed });
            }
        }
        let mut left = [FAMILY_ADDRESSES_MAX; 2];
        checked.retain(|one| {
            let left = &mut left[usize::from(one.address.is_ipv4())];
            let stays = *left > 0;
            *left = left.saturating_sub(1);
            stays
        });
        if checked.is_empty() { Err(format!("the host {host} has no address")) } else { Ok(checked) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    /// Says what it was told to, one answer after the other, the last one again and again.
    pub(in crate::streams) struct Scripted(Mutex<VecDeque<Vec<IpAddr>>>);

    impl Scripted {
        pub(in crate::streams) fn new(answers: &[&[&str]]) -> Self {
            let addresses = |answer: &&[&str]| answer.iter().map(|address| address.parse().expect("an address")).collect();
            Self(Mutex::new(answers.iter().map(addresses).collect()))
        }
    }

    impl Resolver for Scripted {
        fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
            let mut answers = self.0.lock().expect("no panic");
            let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            Box::pin(async move { answer.ok_or_else(|| io::Error::other(format!("{name} was not to be asked for"))) })
        }
    }

    /// An address that is checked and not listed, whatever it is.
    pub(in crate::streams) fn unlisted(address: SocketAddr) -> Checked {
        Checked { address, is_listed: false }
    }

    async fn find(allowed: &[&str], host: &str, answer: &[&str]) -> Result<Vec<String>, String> {
        let allowed = allowed.iter().map(|entry| entry.parse().expect(entry)).collect();
        let guard = Guard::new(allowed, Scripted::new(&[answer]));
        let found = guard.find(&Host::parse(host).expect(host), 443).await?;
        Ok(found.iter().map(|checked| checked.address().to_string()).collect())
    }

    #[tokio::test]
    async fn a_host_of_the_internet_is_reached_at_two_addresses_of_each_family() {
        let many = ["2606:4700::1", "2606:4700::2", "2606:4700::3", "93.184.216.34", "93.184.216.35", "93.184.216.36"];
        let expected = ["[2606:4700::1]:443", "[2606:4700::2]:443", "93.184.216.34:443", "93.184.216.35:443"];
        assert_eq!(find(&[], "example.com", &many).await.expect("allowed"), expected);
        assert_eq!(find(&[], "example.com", &["1.1.1.1", "1.1.1.1"]).await.expect("allowed"), ["1.1.1.1:443"]);
        assert_eq!(find(&[], "93.184.216.34", &[]).await.expect("allowed"), ["93.184.216.34:443"]);
        assert!(find(&[], "example.com", &[]).await.expect_err("nowhere").contains("no address"));
    }

    #[tokio::test]
    async fn one_address_that_is_not_allowed_refuses_all() {
        let global = "93.184.216.34";
        for inside in
            ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00:ec2::254", "64:ff9b::10.0.0.1", "0.0.0.0"]
        {
            for answer in [&[inside][..], &[global, inside], &[inside, global], &[global, "1.1.1.1", "1.0.0.1", inside]] {
                let error = find(&[], "example.com", answer).await.expect_err(inside);
                assert!(error.contains("--stream-allow") && !error.contains(inside), "{error}");
            }
        }
        for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", "[fe80::1]", "0.0.0.0"] {
            assert!(find(&[], host, &[]).await.expect_err(host).contains("--stream-allow"), "{host}");
        }
    }

    #[tokio::test]
    async fn the_operator_allows_a_name_or_a_network_and_no_more() {
        let cases = [
            ("collector.internal", "collector.internal", &["10.0.0.1", "127.0.0.1"][..], true),
            ("collector.internal:443", "collector.internal", &["10.0.0.1"], true),
            ("collector.internal:444", "collector.internal", &["10.0.0.1"], false),
            ("collector.internal", "other.internal", &["10.0.0.1"], false),
            ("10.0.0.0/24", "anything.example", &["10.0.0.7"], true),
            ("10.0.0.0/24", "anything.example", &["10.0.0.7", "10.0.1.7"], false),
            ("10.0.0.0/24", "anything.example", &["10.0.0.7", "93.184.216.34"], true),
            ("10.0.0.0/24", "10.0.0.9", &[], true),
            ("10.0.0.0/24", "10.0.1.9", &[], false),
            ("10.0.0.0/8", "anything.example", &["::ffff:10.0.0.1"], false),
            ("10.0.0.0/8", "anything.example", &["64:ff9b::10.0.0.1"], false),
        ];
        for (entry, host, answer, expected) in cases {
            assert_eq!(find(&[entry], host, answer).await.is_ok(), expected, "{entry} {host} {answer:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_to_this_machine_is_told_by_both_its_ends() {
        let own: SocketAddr = "93.184.216.34:50000".parse().expect("an address");
        assert!(unlisted("93.184.216.34:443".parse().expect("an address")).allows(own).is_err());
        assert!(unlisted("93.184.216.35:443".parse().expect("an address")).allows(own).is_ok());
        let guard = Guard::new(vec!["93.184.216.0/24".parse().expect("a network")], Scripted::new(&[]));
        let listed = guard.find(&Host::parse("93.184.216.34").expect("a host"), 443).await.expect("allowed");
        assert!(listed[0].allows(own).is_ok());
    }

    #[tokio::test]
    async fn the_system_looks_names_up() {
        let resolver = SystemResolver::default();
        let found = resolver.resolve("localhost").await.expect("known everywhere");
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
        assert!(resolver.resolve("nothing.invalid").await.is_err());
    }
}
