//! What the store says of each project beside its rows: number and name, head, partial tiles, which tiles there are.

use std::collections::{BTreeMap, HashMap};

use indelible_core::chain::Hash;
use indelible_core::verify::Head;
use uuid::Uuid;

use crate::store::sql::{Connection, OptionalExtension, Row, SqlError};

/// What is stored of one project.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The project; `None` where its row of `ledgers` is gone or unreadable.
    pub(super) project_id: Option<Uuid>,
    /// The organization that it is said to belong to.
    pub(super) organization_id: Option<Uuid>,
    pub(super) head: Option<Head>,
    /// The head was there, and could not be read.
    pub(super) head_unreadable: bool,
    /// Time and row number that the head gives for the last row, which no MAC covers.
    pub(super) head_end: (i64, i64),
    /// Partial tiles that belong to no head.
    pub(super) partial: Vec<Vec<Hash>>,
    /// By level: tiles stored, and the position after the last.
    pub(super) tiles: HashMap<i64, (u64, u64)>,
    /// How many anchors there are, and the number of the last.
    pub(super) anchors: Option<(u64, i64)>,
}

fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

/// Reads all projects, by number.
pub(super) fn load(ledger: &Connection) -> Result<BTreeMap<i64, Stored>, SqlError> {
    let mut projects: BTreeMap<i64, Stored> = BTreeMap::new();
    let mut statement = ledger.prepare("SELECT project, project_id, organization_id FROM ledgers")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = |at: usize| row.get_ref(at).map(|text| Uuid::try_parse_ascii(text.as_bytes().unwrap_or_default()).ok());
        let stored = projects.entry(row.get(0)?).or_default();
        (stored.project_id, stored.organization_id) = (id(1)?, id(2)?);
    }
    let mut statement = ledger.prepare("SELECT project, level, hashes FROM partial_tiles ORDER BY project, level")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        put_partial(&mut projects.entry(row.get(0)?).or_default().partial, &row)?;
    }
    let mut statement = ledger.prepare("SELECT project, level, count(*), max(position) FROM tiles GROUP BY project, level")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let counts = (row.get::<_, i64>(2)? as u64, row.get::<_, i64>(3)?.saturating_add(1) as u64);
        projects.entry(row.get(0)?).or_default().tiles.insert(row.get(1)?, counts);
    }
    let mut statement = ledger.prepare("SELECT project, count(*), max(number) FROM anchors GROUP BY project")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        projects.entry(row.get(0)?).or_default().anchors = Some((row.get::<_, i64>(1)? as u64, row.get(2)?));
    }
    let mut statement =
        ledger.prepare("SELECT project, size, row_hash, tree_root, hmac_key_id, mac, compact_range, recorded_at, last_row FROM heads")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let stored = projects.entry(row.get(0)?).or_default();
        stored.head = read(&row, std::mem::take(&mut stored.partial));
        stored.head_unreadable = stored.head.is_none();
        stored.head_end = (row.get(7)?, row.get(8)?);
    }
    Ok(projects)
}

/// The head of one project; `None` where it is gone or cannot be read.
pub(super) fn load_one(ledger: &Connection, project: i64) -> Result<Option<Head>, SqlError> {
    let mut partial = Vec::new();
    let mut statement = ledger.prepare("SELECT project, level, hashes FROM partial_tiles WHERE project = ?1 ORDER BY level")?;
    let mut rows = statement.query([project])?;
    while let Some(row) = rows.next()? {
        put_partial(&mut partial, &row)?;
    }
    ledger
        .prepare("SELECT project, size, row_hash, tree_root, hmac_key_id, mac, compact_range FROM heads WHERE project = ?1")?
        .query_row([project], |row| Ok(read(row, partial)))
        .optional()
        .map(Option::flatten)
}

/// Levels that a tree of 2^64 leaves does not have, and hashes of odd length, show as a partial tile that differs.
fn put_partial(partial: &mut Vec<Vec<Hash>>, row: &Row<'_>) -> Result<(), SqlError> {
    let level = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
    if level < 8 {
        partial.resize(partial.len().max(level), Vec::new());
        partial.push(hashes(row.get_ref(2)?.as_bytes().unwrap_or_default()).unwrap_or_default());
    } else {
        partial.push(vec![[0; 32]]);
    }
    Ok(())
}

fn read(row: &Row<'_>, partial_tiles: Vec<Vec<Hash>>) -> Option<Head> {
    let hash = |at: usize| row.get_ref(at).ok()?.as_bytes()?.try_into().ok();
    Some(Head {
        size: u64::try_from(row.get::<_, i64>(1).ok()?).ok()?,
        row_hash: hash(2)?,
        tree_root: hash(3)?,
        hmac_key_id: u64::try_from(row.get::<_, i64>(4).ok()?).ok()?,
        mac: hash(5)?,
        partial_tiles,
        compact_range: hashes(row.get_ref(6).ok()?.as_bytes()?)?,
    })
}
