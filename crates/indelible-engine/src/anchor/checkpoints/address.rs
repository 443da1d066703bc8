//! What names a checkpoint store: a folder, `postgres://host/database`, or `s3://bucket/prefix`. What looks like an address and is none
//! that is known is refused, so that it does not become a folder of that name; and so are the keywords of libpq.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::CheckpointsError;

#[cfg(feature = "aws")]
pub use bucket::Bucket;

/// Where the checkpoint store of a ledger is. It must lie outside of the data folder, and not be put back with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointStore {
    /// A folder of its own.
    Folder(PathBuf),
    /// A PostgreSQL database.
    Database(Box<Database>),
    /// An object store that speaks S3.
    #[cfg(feature = "aws")]
    Bucket(Bucket),
}

/// Why a text names no checkpoint store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The program cannot reach it.
    #[error(
        "{0}: this program was built without the feature `aws`, which object stores need: build it with `--features aws`, or name a folder"
    )]
    NotBuilt(String),
    /// Another scheme.
    #[error("{0} is no checkpoint store that is known: name a folder, postgres://host/database, or s3://bucket/prefix")]
    Unknown(String),
    /// What follows `s3://` is no bucket and prefix.
    #[error("{0}: {1}; write s3://bucket/prefix")]
    Malformed(String, &'static str),
    /// What follows `postgres://` does not lead to a database.
    #[error("{0}; write postgres://user@host/database, with the password in PGPASSWORD")]
    NoDatabase(&'static str),
}

impl CheckpointStore {
    /// Reads what names one. `settings` are the variables `AWS_…`, which say where a bucket is and who asks, and `PGPASSWORD` and
    /// `PGSSLROOTCERT`.
    pub fn parse(named: &OsStr, settings: Vec<(String, String)>) -> Result<Self, AddressError> {
        let text = named.to_str().unwrap_or_default();
        if is_keywords(text) {
            return Err(AddressError::NoDatabase("a list of keywords names no checkpoint store"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Folder(PathBuf::from(named)));
        };
        if matches!(scheme, "postgres" | "postgresql") {
            let setting = |wanted: &str| settings.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
            let named = format!("{scheme}://{rest}");
            return database_of(&named, setting("PGPASSWORD"), setting("PGSSLROOTCERT")).map(|found| Self::Database(Box::new(found)));
        }
        let place = bucket_of(scheme, rest, cfg!(feature = "aws"))?;
        #[cfg(feature = "aws")]
        let store = Ok(Self::Bucket(Bucket { name: place.0, prefix: place.1, settings, wait_max: Bucket::WAIT_MAX }));
        #[cfg(not(feature = "aws"))]
        let store = Err(AddressError::NotBuilt(place.0)).inspect_err(|_| drop(settings));
        store
    }

    /// Its folder, if it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Database(_) => None,
            #[cfg(feature = "aws")]
            Self::Bucket(_) => None,
        }
    }
}

impl<P: Into<PathBuf>> From<P> for CheckpointStore {
    fn from(folder: P) -> Self {
        Self::Folder(folder.into())
    }
}

impl Display for CheckpointStore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Database(database) => write!(f, "{database}"),
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => write!(f, "{bucket}"),
        }
    }
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// How it is reached, the password included; which its own `Debug` leaves out.
    pub(super) config: tokio_postgres::Config,
    /// The authorities that TLS trusts; the system's if absent.
    pub(super) root_certificates: Option<PathBuf>,
    /// How long it may take to open it, to read it, or to swap.
    pub wait_max: Duration,
}

impl Database {
    /// [`Database::wait_max`] unless somebody says otherwise.
    pub const WAIT_MAX: Duration = Duration::from_secs(30);

    /// Why it cannot be used, with what caused it.
    pub(super) fn unusable(&self, error: &dyn std::error::Error) -> CheckpointsError {
        let told = error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        CheckpointsError::Unusable(self.to_string(), told)
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

/// Whether a text is a connection string of libpq: a keyword, `=` and so on.
fn is_keywords(text: &str) -> bool {
    text.split_once('=').is_some_and(|(first, _)| KEYWORDS.contains(&first.trim()))
}

/// Nobody between the two who could listen.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}

/// Reads the address of a database. Beyond this machine it is reached by TLS alone, unless the address says `sslmode=disable`.
fn database_of(named: &str, password: Option<&str>, root_certificates: Option<&str>) -> Result<Database, AddressError> {
    // Neither the address nor what the library says of it is repeated: there may be a password in it.
    let mut config: tokio_postgres::Config = named.parse().map_err(|_| AddressError::NoDatabase("the address cannot be read"))?;
    if config.get_password().is_some() {
        return Err(AddressError::NoDatabase("the password comes from the environment, not from the address"));
    }
    if config.get_hosts().is_empty() || config.get_dbname().is_none() {
        return Err(AddressError::NoDatabase("the address names a host and a database"));
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
    Ok(Database { config, root_certificates: root_certificates.map(PathBuf::from), wait_max: Database::WAIT_MAX })
}

/// Bucket and prefix of an address, given whether the program can reach one.
fn bucket_of(scheme: &str, rest: &str, built: bool) -> Result<(String, String), AddressError> {
    let named = format!("{scheme}://{rest}");
    if scheme != "s3" {
        // The rest is not repeated: there may be a password in it.
        return Err(AddressError::Unknown(format!("{scheme}://…")));
    }
    if !built {
        return Err(AddressError::NotBuilt(named));
    }
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if name.contains('@') {
        // Not repeated: what stands before it may be a secret.
        return Err(AddressError::Malformed("s3://…@…".to_owned(), "credentials come from the environment, not from the address"));
    }
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte)) {
        return Err(AddressError::Malformed(named, "a bucket has a name of three or more of a-z, 0-9, dot, hyphen"));
    }
    if name.ends_with("--x-s3") {
        return Err(AddressError::Malformed(named, "a directory bucket does not list in order, and cannot be a checkpoint store"));
    }
    let is_part = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_=+".contains(&byte))
    };
    if !prefix.is_empty() && !prefix.split('/').all(is_part) {
        return Err(AddressError::Malformed(named, "a prefix is of letters, digits and .-_=+ between single slashes"));
    }
    Ok((name.to_owned(), prefix.to_owned()))
}

#[cfg(feature = "aws")]
mod bucket {
    use std::fmt::{self, Debug, Display, Formatter};
    use std::time::Duration;

    /// A place in an object store that speaks S3.
    #[derive(Clone, PartialEq, Eq)]
    pub struct Bucket {
        /// The bucket.
        pub name: String,
        /// Where in it, without a slash at either end; empty for all of it.
        pub prefix: String,
        /// `AWS_ACCESS_KEY_ID` and the like, with their values.
        pub settings: Vec<(String, String)>,
        /// How long it may take to open it, to read it, or to swap.
        pub wait_max: Duration,
    }

    impl Bucket {
        /// [`Bucket::wait_max`] unless somebody says otherwise.
        pub const WAIT_MAX: Duration = Duration::from_secs(30);
    }

    impl Display for Bucket {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            write!(f, "s3://{}", self.name)?;
            if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
        }
    }

    impl Debug for Bucket {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            // Without the settings: a secret key is among them.
            f.debug_tuple("Bucket").field(&self.to_string()).finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_a_prefix() {
        let cases: &[(&str, Option<(&str, &str)>)] = &[
            ("log-bucket", Some(("log-bucket", ""))),
            ("log-bucket/", Some(("log-bucket", ""))),
            ("log-bucket/a", Some(("log-bucket", "a"))),
            ("log-bucket/a/b-2.c/", Some(("log-bucket", "a/b-2.c"))),
            ("", None),
            ("/a", None),
            ("ab", None),
            ("Log-Bucket", None),
            ("log bucket/a", None),
            ("log-bucket//a", None),
            ("log-bucket/a//", None),
            ("log-bucket/../a", None),
            ("log-bucket/a?region=b", None),
            ("log-bucket/%2e", None),
            ("log--euw1-az1--x-s3/a", None),
        ];
        for (rest, expected) in cases {
            let expected = expected.map(|(name, prefix)| (name.to_owned(), prefix.to_owned()));
            assert_eq!(bucket_of("s3", rest, true).ok(), expected, "{rest}");
        }
    }

    #[test]
    fn credentials_are_no_part_of_it() {
        let refused = bucket_of("s3", "AKIA:secret@bucket/a", true).expect_err("refused").to_string();
        assert!(refused.contains("environment") && !refused.contains("secret"), "{refused}");
    }

    #[test]
    fn a_program_that_cannot_reach_it_says_what_it_lacks() {
        let refused = bucket_of("s3", "bucket/a", false).expect_err("not built").to_string();
        assert!(refused.starts_with("s3://bucket/a: ") && refused.contains("--features aws"), "{refused}");
    }

    #[test]
    fn what_looks_like_another_address_is_no_folder() {
        for named in ["mysql://log:secret@host/log", "gs://bucket", "S3://bucket", "://a"] {
            let refused = CheckpointStore::parse(named.as_ref(), Vec::new()).expect_err("not known");
            assert!(matches!(&refused, AddressError::Unknown(told) if !told.contains("secret")), "{named}: {refused}");
        }
        for named in ["/state", "state", "s3:/state", "./s3/x"] {
            assert_eq!(CheckpointStore::parse(named.as_ref(), Vec::new()), Ok(CheckpointStore::Folder(named.into())), "{named}");
        }
    }

    #[test]
    fn an_address_of_a_database_holds_no_password() {
        let refused = |named: &str| database_of(named, None, None).expect_err(named).to_string();
        for named in ["postgres://log:secret@host/log", "postgresql:///log", "postgres://host", "postgres://host/log?x=secret"] {
            let told = refused(named);
            assert!(told.contains("PGPASSWORD") && !told.contains("secret"), "{named}: {told}");
        }
        let settings = vec![("PGPASSWORD".to_owned(), "tell-nobody".to_owned())];
        let store = CheckpointStore::parse("postgres://log@db.example/log".as_ref(), settings).expect("a database");
        assert!(!format!("{store:?} {store}").contains("tell-nobody"));
        assert_eq!(store.to_string(), "postgres://db.example/log");
    }

    #[test]
    fn keywords_of_libpq_are_refused_and_not_repeated() {
        for named in ["host=db.example password=secret dbname=log", "  password = 'secret'", "user=log", "dbname=secret://x"] {
            let refused = CheckpointStore::parse(named.as_ref(), Vec::new()).expect_err(named).to_string();
            assert!(refused.contains("write postgres://") && !refused.contains("secret"), "{named}: {refused}");
        }
        for named in ["./host=a", "a=b", "hosts=a", "host"] {
            assert_eq!(CheckpointStore::parse(named.as_ref(), Vec::new()), Ok(CheckpointStore::Folder(named.into())), "{named}");
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
            assert_eq!(database_of(named, None, None).expect(named).to_string(), expected);
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
            assert_eq!(database_of(named, None, None).expect(named).config.get_ssl_mode(), expected, "{named}");
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn a_bucket_shows_no_secret() {
        let settings = vec![("AWS_SECRET_ACCESS_KEY".to_owned(), "tell-nobody".to_owned())];
        let store = CheckpointStore::parse("s3://bucket/a".as_ref(), settings).expect("a bucket");
        assert!(!format!("{store:?} {store}").contains("tell-nobody"));
        assert_eq!(store.to_string(), "s3://bucket/a");
    }
}
