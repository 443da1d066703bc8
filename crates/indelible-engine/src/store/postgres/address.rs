//! What names a database: `postgres://user@host/database`. The password comes from the environment, and is shown nowhere.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Why a text leads to no database. It repeats nothing of it: there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write postgres://user@host/database, with the password in PGPASSWORD")]
pub struct NoDatabase(&'static str);

impl NoDatabase {
    /// A connection string of another form.
    pub(crate) const KEYWORDS: Self = Self("a list of keywords is not read");
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// How it is reached, the password included; which its own `Debug` leaves out.
    pub(crate) config: tokio_postgres::Config,
    /// The authorities that TLS trusts; the system's if absent.
    pub(crate) root_certificates: Option<PathBuf>,
    /// How long it may take to open it, to read it, or to swap.
    pub wait_max: Duration,
}

impl Database {
    /// [`Database::wait_max`] unless somebody says otherwise.
    pub const WAIT_MAX: Duration = Duration::from_secs(30);

    /// Whether a text is a connection string of libpq: a keyword, `=` and so on.
    pub(crate) fn is_keywords(text: &str) -> bool {
        text.split_once('=').is_some_and(|(first, _)| KEYWORDS.contains(&first.trim()))
    }

    /// Reads the address of a database. Beyond this machine it is reached by TLS alone, unless the address says `sslmode=disable`.
    /// `root_certificates` is a file of authorities that TLS trusts; the system's if absent.
    pub fn parse(named: &str, password: Option<&str>, root_certificates: Option<&str>) -> Result<Self, NoDatabase> {
        if Self::is_keywords(named) {
            return Err(NoDatabase::KEYWORDS);
        }
        // Neither the address nor what the library says of it is repeated: there may be a password in it.
        let mut config: tokio_postgres::Config = named.parse().map_err(|_| NoDatabase("the address cannot be read"))?;
        if config.get_password().is_some() {
            return Err(NoDatabase("the password comes from the environment, not from the address"));
        }
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(NoDatabase("the address names a host and a database"));
        }
        if let Some(password) = password {
            config.password(password);
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            let near = config.get_hosts().iter().all(is_near) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
            config.ssl_mode(if near { SslMode::Disable } else { SslMode::Require });
        }
        // A standby may be behind, and would show an older checkpoint.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(Duration::from_secs(10));
        Ok(Self { config, root_certificates: root_certificates.map(PathBuf::from), wait_max: Self::WAIT_MAX })
    }
}

impl Display for Database {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // One port is that of all hosts.
        let ports = self.config.get_ports();
        let port = |at: usize| ports.get(at).or(ports.first()).filter(|port| **port != PORT);
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let name = match host {
                    Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
                    Host::Tcp(name) => name.clone(),
                    Host::Unix(folder) => folder.display().to_string(),
                };
                port(at).map_or_else(|| name.clone(), |port| format!("{name}:{port}"))
            })
            .collect();
        write!(f, "postgres://{}/{}", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }
}

/// The port of PostgreSQL, unless an address names another.
const PORT: u16 = 5432;

/// What a connection is told by where it is not told by an address, most of it: with a password, perhaps, which must not become the name of
/// a folder.
const KEYWORDS: &[&str] = &[
    "application_name",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "passfile",
    "password",
    "port",
    "service",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

/// Nobody between the two who could listen.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_database_holds_no_password() {
        let refused = |named: &str| Database::parse(named, None, None).expect_err(named).to_string();
        for named in ["postgres://log:secret@host/log", "postgresql:///log", "postgres://host", "postgres://host/log?x=secret"] {
            let told = refused(named);
            assert!(told.contains("PGPASSWORD") && !told.contains("secret"), "{named}: {told}");
        }
        let database = Database::parse("postgres://log@db.example/log", Some("tell-nobody"), None).expect("a database");
        assert!(!format!("{database:?} {database}").contains("tell-nobody"));
    }

    #[test]
    fn keywords_of_libpq_are_refused_and_not_repeated() {
        for named in ["host=db.example password=secret dbname=log", "  password = 'secret'", "user=log", "dbname=secret://x"] {
            let refused = Database::parse(named, None, None).expect_err(named).to_string();
            assert!(refused.contains("write postgres://") && !refused.contains("secret"), "{named}: {refused}");
        }
        for named in ["./host=a", "a=b", "hosts=a", "host"] {
            assert!(!Database::is_keywords(named), "{named}");
        }
    }

    #[test]
    fn a_database_is_named_with_its_port() {
        let cases = [
            ("postgres://log@db.example:6543/log", "postgres://db.example:6543/log"),
            ("postgres://log@db.example:5432/log", "postgres://db.example/log"),
            ("postgres://log@one.example:6543,two.example/log", "postgres://one.example:6543,two.example/log"),
            ("postgres://log@[::1]:6543/log", "postgres://[::1]:6543/log"),
            ("postgres:///log?host=/run/postgresql&port=6543", "postgres:///run/postgresql:6543/log"),
        ];
        for (named, expected) in cases {
            assert_eq!(Database::parse(named, None, None).expect(named).to_string(), expected);
        }
    }

    #[test]
    fn only_what_is_near_is_reached_in_clear() {
        let cases = [
            ("postgres://log@db.example/log", SslMode::Require),
            ("postgres://log@10.0.0.1/log", SslMode::Require),
            ("postgres://log@localhost,db.example/log", SslMode::Require),
            ("postgres://log@db.example/log?sslmode=disable", SslMode::Disable),
            ("postgres://log@localhost/log", SslMode::Disable),
            ("postgres://log@127.0.0.2/log", SslMode::Disable),
            ("postgres:///log?host=/run/postgresql", SslMode::Disable),
            ("postgres://log@localhost/log?sslmode=require", SslMode::Require),
        ];
        for (named, expected) in cases {
            assert_eq!(Database::parse(named, None, None).expect(named).config.get_ssl_mode(), expected, "{named}");
        }
    }
}
