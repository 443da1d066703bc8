//! Events of an application's own transactions: by `audit.append`, one in each, and by row capture; and how fast servers take them in.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use postgres::Client;

use super::server::Server;
use crate::bench::event::{Event, Ids, Order};
use crate::bench::server::program;
use crate::bench::together;

/// The role of the application.
pub(super) const ROLE: &str = "app";

/// Makes the application's role, and binds it to the project of the first start.
pub(super) fn bind(owner: &mut Client, arguments: &[&str]) -> anyhow::Result<()> {
    owner.batch_execute(&format!("CREATE ROLE {ROLE} LOGIN; GRANT CREATE ON SCHEMA public TO {ROLE}"))?;
    let bound = Command::new(program()).args(["database", "bind", ROLE]).args(arguments).output()?;
    ensure!(bound.status.success(), "{}", String::from_utf8_lossy(&bound.stderr));
    Ok(())
}

/// Events of these numbers, one a transaction; events a second.
pub(super) fn append(server: &Server, database: &str, connections: u64, (from, until): (u64, u64)) -> anyhow::Result<f64> {
    let (next, begin) = (AtomicU64::new(from), Instant::now());
    together(connections, || {
        let mut client = server.connect(database, ROLE)?;
        let append = client.prepare("SELECT audit.append($1::text::jsonb)")?;
        let mut event = String::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= until {
                return Ok(());
            }
            event.clear();
            Event { n, ids: Ids::V4, order: Order::Recorded }.write_submission(&mut event);
            client.execute(&append, &[&event])?;
        }
    })?;
    Ok((until - from) as f64 / begin.elapsed().as_secs_f64())
}

/// Waits until the servers have taken everything out of the inbox; seconds.
pub(super) fn drained(owner: &mut Client) -> anyhow::Result<f64> {
    let begin = Instant::now();
    loop {
        let waiting: bool = owner.query_one("SELECT EXISTS (SELECT FROM audit.inbox)", &[])?.get(0);
        if !waiting {
            return Ok(begin.elapsed().as_secs_f64());
        }
        ensure!(begin.elapsed() < Duration::from_mins(10), "the inbox is not emptied");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Begins or ends row capture of the application's table.
pub(super) fn watch(server: &Server, database: &str, on: bool) -> anyhow::Result<()> {
    let sql = if on { "SELECT audit.watch('public.bookings', noun => 'booking')" } else { "SELECT audit.unwatch('public.bookings')" };
    server.connect(database, ROLE)?.batch_execute(sql).context("row capture")
}
