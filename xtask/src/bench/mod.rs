//! `cargo xtask bench`: Indelible and its baselines, measured in one run on one machine. Medians and ratios; never a
//! timed test.

mod client;
mod engine;
mod event;
mod http;
mod load;
mod postgres;
mod raw;
mod report;
mod server;
mod sqlite;

use std::process::ExitCode;

use report::Report;

use crate::BenchArguments;

/// Runs the parts asked for and prints the table.
pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&arguments.folder)?;
    let folder = std::path::absolute(&arguments.folder)?;
    let wanted = |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    let mut report = Report::default();
    if wanted("raw") {
        raw::run(&folder, &mut report)?;
    }
    if wanted("sqlite") {
        sqlite::run(&folder, arguments.rows.min(1_000_000), &mut report)?;
    }
    if wanted("postgres") {
        postgres::run(&folder, arguments.rows, &mut report)?;
    }
    if wanted("engine") {
        engine::run(&folder, &mut report)?;
    }
    if wanted("http") {
        http::run(&folder, &mut report)?;
    }
    if wanted("load") {
        load::run(&folder, arguments.rows, &mut report)?;
    }
    report.print();
    if let Some(file) = &arguments.json {
        report.write(file)?;
    }
    Ok(ExitCode::SUCCESS)
}
