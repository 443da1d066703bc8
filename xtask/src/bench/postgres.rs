//! PostgreSQL: binary COPY in batches, each committed durably, with its key alone and with B-trees on the attributes.
//! The server is started here on a Unix socket, in a folder of its own, and stopped after.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};
use postgres::{Client, NoTls};

use super::event::{Event, Ids, Order};
use super::report::Report;
use crate::install;

/// Name of the figure that everything is compared with.
pub(crate) const INDEXED: &str = "PostgreSQL COPY, B-trees on the same attributes";
const BATCH: u64 = 10_000;

/// Rates with and without indexes.
pub(crate) fn run(folder: &Path, rows: u64, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(folder)?;
    let mut client = server.connect()?;
    let rate = load(&mut client, rows.min(1_000_000), false)?;
    report.add("PostgreSQL COPY, its key alone", rate, "rows/s");
    client.batch_execute("DROP TABLE events")?;
    let rate = load(&mut client, rows, true)?;
    report.add(INDEXED, rate, "rows/s");
    let bytes: i64 = client.query_one("SELECT pg_total_relation_size('events')", &[])?.get(0);
    report.add("PostgreSQL bytes a row, indexes included", bytes as f64 / rows as f64, "bytes");
    Ok(())
}

fn load(client: &mut Client, rows: u64, indexed: bool) -> anyhow::Result<f64> {
    let names: Vec<&str> = Event { n: 0, ids: Ids::V4, order: Order::Recorded }.attributes().iter().map(|(name, _)| *name).collect();
    let columns = names.iter().map(|name| format!("{name} text")).collect::<Vec<_>>().join(",");
    client.batch_execute(&format!(
        "CREATE TABLE events(row bigint PRIMARY KEY, id bytea, occurred_at bigint, {columns}, entry text, content bytea)"
    ))?;
    if indexed {
        client.batch_execute("CREATE UNIQUE INDEX ON events(id); CREATE INDEX ON events(occurred_at)")?;
        for name in &names {
            client.batch_execute(&format!("CREATE INDEX ON events({name})"))?;
        }
    }
    let mut types = vec![Type::INT8, Type::BYTEA, Type::INT8];
    types.extend(names.iter().map(|_| Type::TEXT));
    types.extend([Type::TEXT, Type::BYTEA]);
    let begin = Instant::now();
    let mut n = 0;
    while n < rows {
        let mut transaction = client.transaction()?;
        let mut writer = BinaryCopyInWriter::new(transaction.copy_in("COPY events FROM STDIN BINARY")?, &types);
        for n in n..rows.min(n + BATCH) {
            write_row(&mut writer, Event { n, ids: Ids::V4, order: Order::Recorded })?;
        }
        writer.finish()?;
        transaction.commit()?;
        n += BATCH;
    }
    Ok(rows as f64 / begin.elapsed().as_secs_f64())
}

fn write_row(writer: &mut BinaryCopyInWriter<'_>, event: Event) -> anyhow::Result<()> {
    let (row, id, at) = (event.n as i64, event.id().as_bytes().to_vec(), event.occurred_at_micros());
    let (attributes, sealed) = (event.attributes(), event.sealed());
    let mut entry = String::new();
    event.write_entry(&mut entry);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&row, &id, &at];
    values.extend(attributes.iter().map(|(_, value)| value as &(dyn ToSql + Sync)));
    values.extend([&entry as &(dyn ToSql + Sync), &sealed]);
    Ok(writer.write(&values)?)
}

/// A PostgreSQL server that lives as long as this value.
struct Server {
    programs: PathBuf,
    folder: PathBuf,
}

impl Server {
    fn start(folder: &Path) -> anyhow::Result<Self> {
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

    fn connect(&self) -> anyhow::Result<Client> {
        let mut config = postgres::Config::new();
        config.host_path(&self.folder).user("bench").dbname("postgres").connect_timeout(Duration::from_secs(30));
        Ok(config.connect(NoTls)?)
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
