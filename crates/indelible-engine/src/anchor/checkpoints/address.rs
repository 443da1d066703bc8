//! What names a checkpoint store: a folder, `postgres://host/database`, or `s3://bucket/prefix`. What looks like an address and is none
//! that is known is refused, so that it does not become a folder of that name; and so are the keywords of libpq.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use crate::store::{Database, NoDatabase};

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
    #[error(transparent)]
    NoDatabase(#[from] NoDatabase),
}

impl CheckpointStore {
    /// Reads what names one. `settings` are the variables `AWS_…`, which say where a bucket is and who asks, and `PGPASSWORD` and
    /// `PGSSLROOTCERT`.
    pub fn parse(named: &OsStr, settings: Vec<(String, String)>) -> Result<Self, AddressError> {
        let text = named.to_str().unwrap_or_default();
        if Database::is_keywords(text) {
            return Err(NoDatabase::KEYWORDS.into());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Folder(PathBuf::from(named)));
        };
        if matches!(scheme, "postgres" | "postgresql") {
            let setting = |wanted: &str| settings.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
            let named = format!("{scheme}://{rest}");
            let found = Database::parse(&named, setting("PGPASSWORD"), setting("PGSSLROOTCERT"))?;
            return Ok(Self::Database(Box::new(found)));
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
    fn a_database_is_named_as_the_store_is() {
        let settings = vec![("PGPASSWORD".to_owned(), "tell-nobody".to_owned())];
        let store = CheckpointStore::parse("postgres://log@db.example/log".as_ref(), settings).expect("a database");
        assert!(!format!("{store:?} {store}").contains("tell-nobody"));
        assert_eq!(store.to_string(), "postgres://db.example/log");
        let refused = CheckpointStore::parse("host=db.example password=secret dbname=log".as_ref(), Vec::new()).expect_err("keywords");
        assert!(refused.to_string().contains("write postgres://") && !refused.to_string().contains("secret"), "{refused}");
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
