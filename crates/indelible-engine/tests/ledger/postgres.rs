//! A PostgreSQL server for each process of tests, which ends with it, and a database for each test. `cargo xtask install` installs it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

// The crate that has it is another in tests of the engine itself.
use super::CheckpointStore;

/// The process, whose standard input is never closed, and the folder of its socket.
/// Commits are as durable as anywhere, which the engine insists on; a checkpoint waits until the log is long, for each copies a lot.
static SERVER: LazyLock<(Child, PathBuf)> =
    LazyLock::new(|| start(&["max_connections=300", "shared_buffers=256MB", "max_wal_size=8GB", "checkpoint_timeout=1h"]));

/// Starts a server with these settings; it ends when the standard input of the child is closed.
pub(crate) fn start(settings: &[&str]) -> (Child, PathBuf) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../indelible-engine/tests/postgres.sh");
    let mut child = Command::new(script).args(settings).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a script");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    assert!(!line.is_empty(), "PostgreSQL did not start: `cargo xtask install` installs it");
    (child, PathBuf::from(line.trim()))
}

/// The folder of the socket of the server of this process.
pub(crate) fn folder() -> &'static Path {
    &SERVER.1
}

/// A database of its own.
pub(crate) fn database() -> CheckpointStore {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("log{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    say(folder(), "postgres", &format!("CREATE DATABASE {name}"));
    at(folder(), &name)
}

/// A database of a server.
pub(crate) fn at(folder: &Path, name: &str) -> CheckpointStore {
    let named = format!("postgres:///{name}?host={}&user=tests", folder.display());
    CheckpointStore::parse(named.as_ref(), Vec::new()).expect("an address")
}

/// Has a statement carried out.
pub(crate) fn say(folder: &Path, database: &str, statement: &str) {
    let mut psql = Command::new("psql");
    psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-U", "tests", "-d", database, "-c", statement, "-h"]).arg(folder);
    assert!(psql.stdout(Stdio::null()).status().expect("psql runs").success(), "{statement}");
}
