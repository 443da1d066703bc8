//! A PostgreSQL server that can be killed and started again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where Debian keeps the programs.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// A server, its folder, and nobody else's.
pub(crate) struct Database {
    folder: tempfile::TempDir,
}

/// A program of PostgreSQL's, which never runs as root.
fn program(name: &str) -> Command {
    let versions = std::fs::read_dir(PROGRAMS).expect("PostgreSQL: `cargo xtask install` installs it");
    let newest = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).max().expect("a version");
    let path = PathBuf::from(PROGRAMS).join(newest.to_string()).join("bin").join(name);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        return Command::new(path);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(path);
    command
}

fn done(command: &mut Command) -> Output {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

impl Database {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("indelible-").tempdir_in("/tmp").expect("a folder");
        // Somebody else's, where we are root.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("opened");
        let database = Self { folder };
        done(program("initdb").arg("-D").arg(database.data()).args(["-A", "trust", "-U", "tests", "--no-sync"]).current_dir("/"));
        database.go_on();
        database
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it, also after it was killed.
    pub(crate) fn go_on(&self) {
        let folder = self.folder.path().display().to_string();
        let options = format!("-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=200");
        let mut start = program("pg_ctl");
        start.arg("-D").arg(self.data()).arg("-l").arg(self.folder.path().join("log")).args(["-w", "start", "-o", &options]);
        // What it starts would else hold the pipes of this process.
        let started = start.current_dir("/").stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status();
        assert!(started.is_ok_and(|status| status.success()), "PostgreSQL starts");
    }

    /// Kill -9, of the whole server: what was not on the disk is gone.
    pub(crate) fn kill(&self) {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).expect("a server");
        let postmaster = file.lines().next().expect("an id").to_owned();
        let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap_or_default();
        let all: Vec<&str> = std::iter::once(postmaster.as_str()).chain(children.split_whitespace()).collect();
        Command::new("kill").arg("-KILL").args(&all).status().expect("kill runs");
        // Its children have its shared memory until they are gone.
        while all.iter().any(|pid| Path::new("/proc").join(pid).exists()) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        std::fs::remove_file(self.data().join("postmaster.pid")).ok();
    }

    /// Its address for a role.
    pub(crate) fn address(&self, role: &str) -> String {
        format!("postgres:///postgres?host={}&user={role}", self.folder.path().display())
    }

    /// What a statement gives, unaligned, by whoever has every right.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "tests", "-d", "postgres", "-c", sql, "-h"]).arg(self.folder.path());
        String::from_utf8(done(&mut psql).stdout).expect("UTF-8").trim_end().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        program("pg_ctl").arg("-D").arg(self.data()).args(["-m", "immediate", "-w", "stop"]).current_dir("/").output().ok();
    }
}
