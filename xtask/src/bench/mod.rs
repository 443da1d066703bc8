//! `cargo xtask bench`: Indelible and its baselines, measured in one run on one machine. Medians and ratios; never a
//! timed test.

mod client;
mod decide;
mod engine;
mod event;
mod http;
mod load;
mod postgres;
mod proof;
mod raw;
mod report;
mod server;
mod sqlite;
mod streams;

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
    if wanted("database") {
        postgres::grown(&folder, arguments.rows, &mut report)?;
    }
    if wanted("engine") {
        engine::run(&folder, &mut report)?;
    }
    if wanted("proof") {
        proof::run(&mut report)?;
    }
    if wanted("http") {
        http::run(&folder, arguments.rows, &mut report)?;
    }
    if wanted("decide") {
        decide::run(&folder, arguments.rows, &mut report)?;
    }
    if wanted("streams") {
        streams::run(&folder, arguments.rows, &mut report)?;
    }
    if load::LOADS.iter().any(|(part, ..)| wanted(part)) {
        load::run(&folder, arguments.rows, wanted, &mut report)?;
    }
    report.print();
    if let Some(file) = &arguments.json {
        report.write(file)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Does the same on so many threads at once, and waits for all.
fn together<T: Send>(threads: u64, work: impl Fn() -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<T>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a client died")))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not for its figures: so that the bench is found broken by whoever breaks it.
    #[test]
    fn every_part_runs_and_is_compared() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
        let json = folder.path().join("figures.json");
        let arguments = BenchArguments { rows: 5_000, json: Some(json.clone()), only: Vec::new(), folder: folder.path().join("data") };
        assert_eq!(run(&arguments).expect("it runs"), ExitCode::SUCCESS);
        let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(json).expect("written")).expect("JSON");
        let figures = figures.as_array().expect("a list");
        assert!(figures.len() > 50, "{}", figures.len());
        let compared = |figure: &&serde_json::Value| figure["against"] == postgres::INDEXED && figure["ratio"].as_f64() > Some(0.0);
        assert_eq!(figures.iter().filter(compared).count(), 8, "durable and findable, four loads");
        let grown = |figure: &&serde_json::Value| {
            figure["against"].as_str().is_some_and(|against| against.ends_with(" rows") || against.ends_with("rows there"))
                && figure["ratio"].as_f64() > Some(0.0)
        };
        assert_eq!(
            figures.iter().filter(grown).count(),
            2 * 8 + 1,
            "in PostgreSQL, eight rates at two sizes, and one from the first to the second"
        );
        let decided = |figure: &&serde_json::Value| figure["unit"] == "decisions/s" && figure["median"].as_f64() > Some(0.0);
        assert_eq!(figures.iter().filter(decided).count(), 7, "Cedar, the engine twice, HTTP four times");
        let streamed = |figure: &&serde_json::Value| {
            figure["what"].as_str().is_some_and(|what| what.contains("stream"))
                && figure["against"].is_string()
                && figure["ratio"].as_f64() > Some(0.0)
        };
        assert_eq!(figures.iter().filter(streamed).count(), 2, "against no ledger, and beside a dead one");
    }
}
