//! What an application does in its own database, and the audit of it that most people write: a trigger for each row, in PL/pgSQL, which
//! keeps the row before and after as JSON in a table with a few B-trees.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use postgres::Client;

use super::server::Server;
use crate::bench::together;

/// Rows of the application's table.
pub(super) const BOOKINGS: u64 = 100_000;

/// The application's own table, whose rows are of about 1 KiB, so that both states together are as much as an event of the bench.
pub(super) fn create_bookings(client: &mut Client) -> anyhow::Result<()> {
    client.batch_execute(&format!(
        "CREATE TABLE bookings(id bigint PRIMARY KEY, customer text NOT NULL, origin text NOT NULL, destination text NOT NULL, cabin text NOT NULL,
             price bigint NOT NULL, note text NOT NULL) WITH (fillfactor = 50);
         INSERT INTO bookings SELECT n, 'user-' || n % 20000, 'JFK', 'SEA', 'economy', n % 900, repeat(md5(n::text), 28)
             FROM generate_series(0, {BOOKINGS} - 1) AS n"
    ))?;
    Ok(())
}

/// The table of the audit, and the trigger that fills it.
pub(super) fn create_audit(client: &mut Client) -> anyhow::Result<()> {
    client.batch_execute(
        "CREATE TABLE audit_log(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), actor text,
             relation text NOT NULL, operation text NOT NULL, row_id text NOT NULL, before jsonb, after jsonb);
         CREATE INDEX ON audit_log(at); CREATE INDEX ON audit_log(actor, at); CREATE INDEX ON audit_log(relation, row_id);
         CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO audit_log(actor, relation, operation, row_id, before, after)
                 VALUES (current_setting('app.actor', true), TG_TABLE_NAME, TG_OP, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW));
             RETURN NULL;
         END $$;
         CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION keep()",
    )?;
    Ok(())
}

/// Rows of the audit table as the trigger would have made them, at once.
pub(super) fn fill_audit(client: &mut Client, rows: u64) -> anyhow::Result<()> {
    client.batch_execute(&format!(
        "INSERT INTO audit_log(actor, relation, operation, row_id, before, after)
             SELECT 'agent-' || n % 1000, 'bookings', 'UPDATE', n % {BOOKINGS}, kept, kept
             FROM generate_series(1, {rows}) AS n
                  CROSS JOIN LATERAL (SELECT to_jsonb(bookings) AS kept FROM bookings WHERE id = n % {BOOKINGS}) AS state"
    ))?;
    Ok(())
}

/// Changes so many rows, some in each transaction, each row by one transaction at a time; rows a second.
pub(super) fn update(server: &Server, (database, role): (&str, &str), connections: u64, of_each: u64, rows: u64) -> anyhow::Result<f64> {
    let (next, begin) = (AtomicU64::new(0), Instant::now());
    together(connections, || {
        let mut client = server.connect(database, role)?;
        client.batch_execute("SET app.actor TO 'agent-0001'")?;
        let sql = "UPDATE bookings SET price = price + 1 WHERE id >= $1 AND id < $2";
        let update = client.prepare(sql)?;
        loop {
            let from = next.fetch_add(of_each, Ordering::Relaxed);
            if from >= rows {
                return Ok(());
            }
            let from = from as i64 % BOOKINGS as i64;
            client.execute(&update, &[&from, &(from + of_each as i64)])?;
        }
    })?;
    Ok(rows as f64 / begin.elapsed().as_secs_f64())
}
