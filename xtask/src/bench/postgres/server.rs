//! The database server of the bench: started on a Unix socket, in a folder of its own, and stopped after.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use postgres::{Client, NoTls};

use crate::install;

/// A PostgreSQL server that lives as long as this value.
pub(super) struct Server {
    programs: PathBuf,
    folder: PathBuf,
}

impl Server {
    /// Starts one with nothing in it.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Self> {
        let programs = install::postgres_folder().context("PostgreSQL's server programs are not installed")?;
        let folder = std::path::absolute(folder.join("postgres"))?;
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let server = Self { programs, folder };
        std::fs::create_dir_all(&server.folder)?;
        if is_root() {
            ensure!(Command::new("chown").arg("postgres").arg(&server.folder).status()?.success(), "chown failed");
        }
        let data = server.folder.join("data");
        server.run("initdb", &["-D", &data.to_string_lossy(), "-A", "trust", "-U", "bench", "--no-sync"])?;
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c shared_buffers=1GB -c max_wal_size=8GB -c checkpoint_timeout=15min",
            server.folder.display()
        );
        let log = server.folder.join("log");
        server.run("pg_ctl", &["-D", &data.to_string_lossy(), "-l", &log.to_string_lossy(), "-o", &options, "-w", "start"])?;
        Ok(server)
    }

    /// Runs a server program, as the user `postgres` where we are root: the server refuses to run as root.
    fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&path);
            command
        } else {
            Command::new(&path)
        };
        let status = command.args(arguments).current_dir("/").stdout(std::process::Stdio::null()).status()?;
        ensure!(status.success(), "{program} failed; see {}", self.folder.join("log").display());
        Ok(())
    }

    /// A connection to one of its databases, as a role.
    pub(super) fn connect(&self, database: &str, role: &str) -> anyhow::Result<Client> {
        let mut config = postgres::Config::new();
        config.host_path(&self.folder).user(role).dbname(database).connect_timeout(Duration::from_secs(30));
        Ok(config.connect(NoTls)?)
    }
}

impl Server {
    /// The address of one of its databases, for the role that owns everything.
    pub(super) fn address(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=bench", self.folder.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.join("data");
        if let Err(error) = self.run("pg_ctl", &["-D", &data.to_string_lossy(), "-m", "immediate", "-w", "stop"]) {
            eprintln!("PostgreSQL was not stopped: {error}");
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}
