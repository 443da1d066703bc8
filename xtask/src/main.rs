//! The project's own commands: `cargo xtask test`, `cargo xtask tidy`, `cargo xtask bench`, `cargo xtask install`.
//!
//! `test` is what the README and CI call. It builds in seconds: only `bench` needs the engine, and is
//! compiled when asked for.

#![expect(clippy::print_stdout, reason = "a command line talks to its user")]
#![cfg_attr(feature = "bench", expect(clippy::print_stderr, reason = "a long run says how far it is"))]

mod install;
mod suite;
mod tidy;

#[cfg(feature = "bench")]
mod bench;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Builds, checks and measures Indelible")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing, then formatting, lints, every test and the documentation
    Test,
    /// The rules of the house alone
    Tidy,
    /// Installs what the tests need, for who runs some of them with `cargo test`
    Install,
    /// Measures Indelible beside its baselines, in one run
    Bench(BenchArguments),
}

#[derive(clap::Args)]
struct BenchArguments {
    /// Rows of the largest load
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Write the figures here as JSON too
    #[arg(long)]
    json: Option<PathBuf>,
    /// Parts to run: raw, sqlite, postgres, database, engine, proof, http, decide, streams, load, load-v7, load-shuffled, load-late; all by default
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Folder for the data, on the disk to be measured
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Test => suite::run(),
        Command::Tidy => Ok(tidy::run()),
        Command::Install => install::missing().and_then(|()| install::python()).map(|()| ExitCode::SUCCESS),
        Command::Bench(arguments) => bench_command(&arguments),
    }
}

#[cfg(feature = "bench")]
fn bench_command(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    bench::run(arguments)
}

/// Compiles itself again, optimised and with the engine, and becomes that.
#[cfg(not(feature = "bench"))]
fn bench_command(_: &BenchArguments) -> anyhow::Result<ExitCode> {
    install::missing()?;
    let cargo = || std::process::Command::new(env!("CARGO"));
    anyhow::ensure!(cargo().args(["build", "--release", "--package", "indelible"]).status()?.success(), "the program does not build");
    let status = cargo()
        .args(["run", "--quiet", "--release", "--package", "xtask", "--features", "bench", "--"])
        .args(std::env::args_os().skip(1))
        .status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The root of the workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
