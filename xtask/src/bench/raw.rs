//! The floor: append to a file and fdatasync. Nothing durable can be faster.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use super::event::{Event, Ids, Order};
use super::report::{Report, median};

/// Rates at batches of 1, 100 and 1,000 rows of 2 KiB.
pub(crate) fn run(folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    for (batch, batches) in [(1_u64, 400_u64), (100, 100), (1_000, 40)] {
        let mut rates = Vec::new();
        for _ in 0..3 {
            let file = folder.join("raw");
            let mut out = File::create(&file)?;
            let mut buffer = String::new();
            let begin = Instant::now();
            for n in 0..batches {
                buffer.clear();
                for k in 0..batch {
                    let event = Event { n: n * batch + k, ids: Ids::V4, order: Order::Recorded };
                    event.write_entry(&mut buffer);
                    event.write_content(&mut buffer);
                }
                out.write_all(buffer.as_bytes())?;
                out.sync_data()?;
            }
            rates.push((batch * batches) as f64 / begin.elapsed().as_secs_f64());
            std::fs::remove_file(&file)?;
        }
        report.add(format!("raw append + fdatasync, batches of {batch}"), median(&mut rates), "rows/s");
    }
    Ok(())
}
