//! Indelible without HTTP: making events ready, appending them in batches of 1, 100, 500 and 1,000, until they are durable
//! and until they are findable, and sealing them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use indelible_core::event::{Source, Submission};
use indelible_engine::access::{Caller, Envelope};
use indelible_engine::append::Prepared;
use indelible_engine::resource::Project;
use indelible_engine::{Ledger, Options};

use super::event::{Event, Ids, Order};
use super::report::{Report, median};

/// Events of a busy minute, sealed together.
const MINUTE_ROWS: u64 = 100_000;

/// Rates of one thread.
pub(crate) fn run(folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let data = folder.join("engine");
    std::fs::remove_dir_all(&data).ok();
    let mut options = Options::new(&data);
    options.anchor_interval = Duration::from_hours(1);
    let ledger = Ledger::open(options)?.ledger;
    let key = std::fs::read_to_string(data.join("admin.key"))?;
    let caller = ledger.authenticate(Some(key.trim()), Envelope::default())?;
    let project = ledger.project_of(&caller, None)?;
    let mut next = 0;
    let mut batch = |size: u64| -> anyhow::Result<Vec<Prepared>> {
        next += size;
        (next - size..next).map(|n| prepare(&ledger, &caller, &project, n)).collect()
    };
    let begin = Instant::now();
    for _ in 0..20 {
        batch(1_000)?;
    }
    report.add("engine, parse + redact + seal + draft, one thread", 20_000.0 / begin.elapsed().as_secs_f64(), "events/s");
    for (size, batches) in [(1_u64, 200_u64), (100, 60), (500, 40), (1_000, 40)] {
        let mut rates = Vec::new();
        for _ in 0..3 {
            let ready = (0..batches).map(|_| batch(size)).collect::<anyhow::Result<Vec<_>>>()?;
            let begin = Instant::now();
            for events in ready {
                ledger.append_blocking(events).context("an append failed")?;
            }
            rates.push((size * batches) as f64 / begin.elapsed().as_secs_f64());
        }
        let raw = if size == 500 { 1_000 } else { size };
        let against = format!("raw append + fdatasync, batches of {raw}");
        report.compare(format!("engine, writer alone, batches of {size}, durable"), median(&mut rates), "rows/s", &against);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seal = || runtime.block_on(ledger.seal(&caller, &project)).context("sealing failed");
    seal()?;
    let ready = (0..MINUTE_ROWS / 500).map(|_| batch(500)).collect::<anyhow::Result<Vec<_>>>()?;
    let begin = Instant::now();
    for events in ready {
        ledger.append_blocking(events).context("an append failed")?;
    }
    // A read waits for the index: when it answers, everything is findable.
    let search = indelible_engine::query::Search { limit: Some(1), ..Default::default() };
    runtime.block_on(ledger.search(&caller, &project, search)).context("a search failed")?;
    report.add("engine, batches of 500, until findable", MINUTE_ROWS as f64 / begin.elapsed().as_secs_f64(), "rows/s");
    let begin = Instant::now();
    let status = seal()?;
    report.add(format!("sealing {MINUTE_ROWS} events"), begin.elapsed().as_secs_f64() * 1e3, "ms");
    anyhow::ensure!(status.unanchored == 0, "not everything was sealed");
    ledger.close();
    for folder in [data.clone(), folder.join("engine.checkpoints")] {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn prepare(ledger: &Ledger, caller: &Caller, project: &Project, n: u64) -> anyhow::Result<Prepared> {
    let mut text = String::with_capacity(2_048);
    Event { n, ids: Ids::V4, order: Order::Recorded }.write_submission(&mut text);
    let submission = Submission::parse(text.as_bytes(), Source::Caller, ledger.new_id())?;
    Ok(ledger.prepare(caller, project, "bench", submission)?)
}
