//! Every column of `ledger.db` changed, and every table dropped: verification always comes to its end, and names it; all but the columns that
//! its documentation names as compared with nothing.

use indelible_core::verify::Verdict;

use super::forge::{B, Forge};
use crate::store::sqlite::tables;
use crate::verify::{Request, verify_folder};

/// Columns that are compared with nothing. The page says why.
const NOT_COMPARED: &[&str] = &[
    "answers",
    "cosignatures.received_at",
    "data_keys.created_at",
    "instance",
    "ring_keys.since",
    "signing_keys.since",
    "stream_cursors",
    "webhook_deliveries",
];

fn is_compared(table: &str, column: &str) -> bool {
    !NOT_COMPARED.contains(&table) && !NOT_COMPARED.contains(&format!("{table}.{column}").as_str())
}

/// Another value of the type of a column, and one that no reader expects. Of an integer, one that is near and one that is far.
fn others(kind: &str, column: &str) -> [String; 2] {
    match kind {
        "TEXT" => [format!("{column} || 'x'"), "CAST(x'ff' AS TEXT)".to_owned()],
        "BLOB" => [format!("CAST({column} || x'00' AS BLOB)"), "x''".to_owned()],
        _ => [format!("{column} + 1000000"), i64::MIN.to_string()],
    }
}

#[test]
fn every_column_is_compared_or_named_in_the_documentation() {
    let page = include_str!("../../../../../docs/verification.md");
    for name in NOT_COMPARED {
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
    }
    let (mut compared, mut wrong) = (0, Vec::new());
    for (table, _) in tables() {
        let forge = Forge::new();
        let columns: Vec<(String, String)> = forge
            .db
            .prepare("SELECT name, type FROM pragma_table_info(?1)")
            .and_then(|mut select| select.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .expect("columns");
        assert!(!columns.is_empty(), "{table}");
        for (column, kind) in columns {
            for (at, other) in others(&kind, &column).into_iter().enumerate() {
                let forge = Forge::new();
                let one = match table {
                    // One is looked at row by row, the others are empty.
                    "instance" | "answers" | "stream_cursors" | "webhook_deliveries" => continue,
                    // It has no rowid, and one row of the oldest size.
                    "cosignatures" => "size = (SELECT min(size) FROM cosignatures)".to_owned(),
                    _ => format!("rowid = (SELECT max(rowid) FROM {table})"),
                };
                let sql = format!("UPDATE {table} SET {column} = {other} WHERE {one}");
                let changed = forge.db.execute(&sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"));
                if changed == 0 {
                    continue;
                }
                let named = forge.verify().iter().any(|report| report.verdict > Verdict::Unanchored);
                // What no reader expects may be named even where nothing is compared.
                if named != is_compared(table, &column) && (at == 0 || !named) {
                    wrong.push(sql);
                }
                compared += usize::from(named);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared > 80, "{compared}");
}

/// Who asks for a project that is gone hears of the store itself, too.
#[test]
fn what_is_wrong_with_the_store_is_told_of_a_project_that_is_gone() {
    let forge = Forge::new();
    let gone = forge.project_id(B);
    forge.sql("DELETE FROM ledgers WHERE project = 4; DROP TABLE answers");
    forge.cut(B, 0);
    forge.sql("DELETE FROM heads WHERE project = 4; DELETE FROM tiles WHERE project = 4; DELETE FROM partial_tiles WHERE project = 4");
    let (data, checkpoints) = (forge.data(), forge.checkpoints().into());
    let request = Request { project_id: Some(gone), ..Request::new(&data, &checkpoints) };
    let reports = verify_folder(&request, &mut |_| {}).expect("verified").projects;
    let [report] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!(report.project_id, gone);
    let details: Vec<&str> = report.findings.iter().map(|finding| finding.detail.as_str()).collect();
    assert!(details.contains(&"the table answers is gone") && details.iter().any(|detail| detail.contains("project")), "{details:?}");
    assert_eq!(report.findings_total as usize, details.len());
}

#[test]
fn of_the_rows_of_the_instance_two_are_compared() {
    let forge = Forge::new();
    let keys: Vec<String> = forge
        .db
        .prepare("SELECT key FROM instance")
        .and_then(|mut select| select.query_map([], |row| row.get(0))?.collect())
        .expect("keys");
    assert!(keys.len() > 2, "{keys:?}");
    for key in keys {
        for other in others("TEXT", "value") {
            let forge = Forge::new();
            forge.sql(&format!("UPDATE instance SET value = {other} WHERE key = '{key}'"));
            let named = forge.verify().iter().any(|report| report.verdict > Verdict::Unanchored);
            assert_eq!(named, ["name", "system_project_id"].contains(&key.as_str()), "{key} {other}");
        }
    }
}

#[test]
fn a_dropped_table_is_named_and_the_rest_is_verified() {
    for (table, _) in tables() {
        let forge = Forge::new();
        forge.sql(&format!("DROP TABLE {table}"));
        let reports = forge.verify();
        let found: Vec<_> = reports.iter().flat_map(|report| &report.findings).collect();
        let detail = format!("the table {table} is gone");
        assert!(found.iter().any(|finding| (finding.kind, finding.detail.as_str()) == (Verdict::Missing, &detail)), "{table}: {found:?}");
    }
}
