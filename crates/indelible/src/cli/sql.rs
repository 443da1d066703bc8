//! `indelible sql`: one statement that reads, offline or beside a running server, over the view `audit_events`.

use std::path::PathBuf;
use std::process::ExitCode;

use indelible_engine::query::sql::{Cell, SqlError, SqlSession, columns};
use serde_json::{Map, Value, json};

use super::output;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One SELECT, such as "SELECT * FROM audit_events WHERE principal_id = 'alice'"
    #[arg(required_unless_present = "columns")]
    query: Option<String>,
    /// List the columns of audit_events
    #[arg(long)]
    columns: bool,
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "./indelible-data")]
    data: PathBuf,
    /// Print JSON, one row a line
    #[arg(long)]
    json: bool,
}

/// Rows of which a table is made; more are printed in further tables, so that memory stays bounded.
const TABLE_ROWS: usize = 1_000;

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.columns {
        output::line(b"sequence")?;
        for (column, _) in columns() {
            output::line(column.as_bytes())?;
        }
        output::line(b"prev_hash\nrow_hash\nentry")?;
        return Ok(ExitCode::SUCCESS);
    }
    let session = SqlSession::open(&args.data)?;
    let query = args.query.as_deref().unwrap_or_default();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let columns = session.query(query, &mut |columns, cells| {
        if args.json {
            return output::line(object(columns, cells).to_string().as_bytes());
        }
        rows.push(cells.iter().map(ToString::to_string).collect());
        if rows.len() >= TABLE_ROWS {
            print(columns, std::mem::take(&mut rows))?;
        }
        Ok(())
    });
    let columns = columns.map_err(|error| match error {
        SqlError::Taken(error) => anyhow::Error::new(error),
        other => anyhow::Error::new(other),
    })?;
    if !args.json {
        print(&columns, rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(columns: &[String], rows: Vec<Vec<String>>) -> std::io::Result<()> {
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    output::table(&header, rows)
}

/// A row as an object. A name that comes twice keeps its last value, as JSON readers do; bytes are hex.
fn object(columns: &[String], cells: Vec<Cell>) -> Value {
    let value = |cell: Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Integer(n) => json!(n),
        Cell::Real(n) => json!(n),
        Cell::Text(text) => json!(text),
        Cell::Blob(_) => json!(cell.to_string()),
    };
    Value::Object(columns.iter().cloned().zip(cells.into_iter().map(value)).collect::<Map<_, _>>())
}
