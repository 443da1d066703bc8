//! A PostgreSQL server for this process of tests, which ends with it, and databases on it.

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::database::install::{Installed, install};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// The process, whose standard input is never closed, and the folder of its socket.
static SERVER: LazyLock<(Child, PathBuf)> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres.sh");
    let settings = ["fsync=off", "full_page_writes=off", "max_connections=60"];
    let mut child = Command::new(script).args(settings).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a script");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    assert!(!line.is_empty(), "PostgreSQL did not start: `cargo xtask install` installs it");
    (child, PathBuf::from(line.trim()))
});

/// Runs what waits for the database.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// A name that no other test has.
pub(crate) fn name(what: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{what}{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A database of its own.
pub(crate) struct Database(pub(crate) String);

impl Database {
    /// An empty one that a role owns.
    pub(crate) fn empty(owner: &str) -> Self {
        let database = Self(name("log"));
        Self("postgres".to_owned()).does("tests", &format!("CREATE DATABASE {} OWNER {owner}", database.0));
        database
    }

    /// One that a superuser installed into.
    pub(crate) fn installed() -> Self {
        let database = Self::empty("tests");
        database.install_as("tests");
        database
    }

    /// One that a plain role installed into, which so has no event triggers; and the role.
    pub(crate) fn installed_by_its_owner() -> (Self, String) {
        let owner = role("owner", "CREATEROLE");
        let database = Self::empty(&owner);
        assert!(!database.install_as(&owner).event_triggers);
        (database, owner)
    }

    /// A copy of one that nobody is connected to.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self(name("copy"));
        Self("postgres".to_owned()).does("tests", &format!("CREATE DATABASE {} TEMPLATE {}", copy.0, self.0));
        copy
    }

    pub(crate) fn drop(self) {
        Self("postgres".to_owned()).does("tests", &format!("DROP DATABASE {} WITH (FORCE)", self.0));
    }

    pub(crate) fn install_as(&self, user: &str) -> Installed {
        wait(async { install(&mut self.connect(user).await).await.expect("installs") })
    }

    /// A connection. It lives as long as the client and the runtime.
    pub(crate) async fn connect(&self, user: &str) -> Client {
        let (client, connection) = Config::new().host_path(&SERVER.1).user(user).dbname(&self.0).connect(NoTls).await.expect("connects");
        tokio::spawn(async move { connection.await.ok() });
        client
    }

    /// Has statements carried out, in a connection of their own: the rows of all, their columns joined by `|`, or what PostgreSQL said.
    pub(crate) fn says(&self, user: &str, sql: &str) -> Result<Vec<String>, String> {
        wait(async {
            let client = self.connect(user).await;
            match client.simple_query(sql).await {
                Ok(messages) => Ok(messages.iter().filter_map(row).collect()),
                Err(error) => Err(error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())),
            }
        })
    }

    pub(crate) fn does(&self, user: &str, sql: &str) -> Vec<String> {
        self.says(user, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Whether psql does a command of its own.
    pub(crate) fn psql(&self, user: &str, command: &str) -> bool {
        let mut psql = Command::new("psql");
        psql.args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", &self.0, "-c", command, "-h"]).arg(&SERVER.1);
        psql.output().expect("psql runs").status.success()
    }

    /// By pg_dump and pg_restore.
    pub(crate) fn dump_into(&self, other: &Self) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("dump");
        let (socket, file) = (SERVER.1.to_str().expect("text"), file.to_str().expect("text"));
        for (program, arguments) in [("pg_dump", ["-Fc", "-f", file, &self.0]), ("pg_restore", ["--exit-on-error", "-d", &other.0, file])] {
            let done = Command::new(program).args(["-U", "tests", "-h", socket]).args(arguments).output().expect("runs");
            assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }

    /// That a statement is refused, and says so in these words.
    pub(crate) fn refuses(&self, user: &str, sql: &str, words: &str) {
        match self.says(user, sql) {
            Ok(rows) => panic!("{user} was not refused: {sql}: {rows:?}"),
            Err(error) => assert!(error.contains(words), "{user}: {sql}: {error}"),
        }
    }
}

fn row(message: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    Some((0..row.len()).map(|column| row.get(column).unwrap_or("NULL")).collect::<Vec<_>>().join("|"))
}

/// Makes a login with these attributes, and names it.
pub(crate) fn role(what: &str, attributes: &str) -> String {
    let role = name(what);
    let quoted = role.replace('"', "\"\"");
    Database("postgres".to_owned()).does("tests", &format!("CREATE ROLE \"{quoted}\" LOGIN {attributes}"));
    role
}
