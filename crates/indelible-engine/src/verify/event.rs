//! Verifying one event: by itself, against the row before it, its content, and its leaf against the tree that the head
//! commits to and against the checkpoint of the first anchor that covers it. What comes after it is not read.

use indelible_core::chain::Hash;
use indelible_core::entry::Outline;
use indelible_core::note::Name;
use indelible_core::tree::{Range, inclusion, leaf_hash};
use indelible_core::verify::{Finding, Retry, Row, Verdict, Wrap, one_row};
use uuid::Uuid;

use super::signed::{anchor_over, log_of};
use super::walk::Keys;
use super::wrap;
use crate::store::sql::{Connection, OptionalExtension, SqlError, params};
use crate::store::{Tiles, Tree};

/// What was found of one event.
pub(crate) struct Checked {
    pub(crate) sequence: u64,
    /// The first anchor that covers it, where all of it holds.
    pub(crate) anchor: Option<u64>,
    pub(crate) findings: Vec<Finding>,
}

/// The columns of a stored event.
struct Columns {
    sequence: u64,
    entry: Vec<u8>,
    prev_hash: Vec<u8>,
    row_hash: Vec<u8>,
    submission_key_id: u64,
    submission_mac: Vec<u8>,
    retry_mac: Vec<u8>,
}

fn columns(ledger: &Connection, row: i64, project: i64) -> Result<Option<Columns>, SqlError> {
    ledger
        .prepare(&format!(
            "SELECT sequence, entry, prev_hash, row_hash, submission_key_id, submission_mac, retry_mac
             FROM {} WHERE row = ?1 AND project = ?2",
            ledger.submissions()
        ))?
        .query_row(params![row, project], |found| {
            let bytes = |at: usize| found.get_ref(at).map(|value| value.as_bytes().unwrap_or_default().to_vec());
            Ok(Columns {
                sequence: found.get::<_, i64>(0)? as u64,
                entry: bytes(1)?,
                prev_hash: bytes(2)?,
                row_hash: bytes(3)?,
                submission_key_id: found.get::<_, i64>(4)? as u64,
                submission_mac: bytes(5)?,
                retry_mac: bytes(6)?,
            })
        })
        .optional()
}

/// What does not hold of one event. `before` is the row of the event before it, as far as the index knows; the ledger is
/// searched where it does not.
pub(crate) fn check(
    ledger: &Connection,
    keys: &dyn Keys,
    (project, project_id): (i64, Uuid),
    origin: &Name,
    row: i64,
    before: Option<i64>,
) -> Result<Checked, SqlError> {
    let Some(stored) = columns(ledger, row, project)? else {
        return Ok(Checked { sequence: 0, anchor: None, findings: Vec::new() });
    };
    let previous = match stored.sequence.checked_sub(1) {
        Some(sequence) => previous_hash(ledger, project, sequence, before)?,
        None => None,
    };
    let content: Option<Vec<u8>> =
        ledger.prepare("SELECT stored FROM contents WHERE row = ?1")?.query_row([row], |found| found.get(0)).optional()?;
    let wrapped: Option<(i64, Vec<u8>)> = ledger
        .prepare("SELECT data_key_id, wrap FROM wraps WHERE row = ?1")?
        .query_row([row], |found| Ok((found.get(0)?, found.get(1)?)))
        .optional()?;
    let outline = Outline::read(&stored.entry);
    let look =
        |(id, bytes): (i64, Vec<u8>)| wrap::look(keys.data_key(id).as_ref(), outline.as_ref(), content.as_deref(), &bytes, &mut Vec::new());
    let columns = Row {
        sequence: stored.sequence,
        entry: &stored.entry,
        outline: outline.as_ref(),
        prev_hash: &stored.prev_hash,
        row_hash: &stored.row_hash,
        retry: Retry { submission_key_id: stored.submission_key_id, submission_mac: &stored.submission_mac, retry_mac: &stored.retry_mac },
        content: content.as_deref(),
        wrap: wrapped.map_or(Wrap::Absent, look),
    };
    let mut findings = one_row(project_id, &|ring_id| keys.project_keys(project_id, ring_id), &columns, previous.as_deref());
    if let Some(detail) = tree_fault(ledger, keys, (project, project_id), stored.sequence, &leaf_hash(&stored.entry))? {
        findings.push(Finding { kind: Verdict::Altered, sequence: Some(stored.sequence), detail: detail.to_owned() });
    }
    let anchor = anchored(ledger, keys, project, origin, stored.sequence, &leaf_hash(&stored.entry))?;
    let anchor = anchor.unwrap_or_else(|(kind, detail)| {
        findings.push(Finding { kind, sequence: Some(stored.sequence), detail });
        None
    });
    Ok(Checked { sequence: stored.sequence, anchor, findings })
}

/// The number of the first anchor that covers the event, if one does: it is signed, and the leaf is in the tree that it signs.
fn anchored(
    ledger: &Connection,
    keys: &dyn Keys,
    project: i64,
    origin: &Name,
    sequence: u64,
    leaf: &Hash,
) -> Result<Result<Option<u64>, (Verdict, String)>, SqlError> {
    let Some(stored) = anchor_over(ledger, project, sequence)? else { return Ok(Ok(None)) };
    let log = log_of(ledger, origin, &keys.signing_keys())?;
    let not = |(kind, why): (Verdict, String)| (kind, format!("anchor {}: {why}", stored.number));
    let checkpoint = match log.anchored(&stored) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Ok(Err(not(error))),
    };
    let size: Option<i64> = ledger.query_row("SELECT size FROM heads WHERE project = ?1", [project], |row| row.get(0)).optional()?;
    let mut tiles = Tiles::new(ledger, Tree::Project(project), size.unwrap_or(0).unsigned_abs());
    let path = inclusion::path(sequence, checkpoint.size, |height, index| tiles.hash_at(height, index));
    let root = tiles.finish(path)?.and_then(|path| inclusion::root(leaf, sequence, checkpoint.size, &path));
    let holds = root == Some(checkpoint.root);
    Ok(if holds { Ok(Some(stored.number)) } else { Err(not((Verdict::Altered, "the event is not in the tree that it signs".to_owned()))) })
}

fn previous_hash(ledger: &Connection, project: i64, sequence: u64, row: Option<i64>) -> Result<Option<Vec<u8>>, SqlError> {
    if let Some(row) = row
        && let Some(found) = columns(ledger, row, project)?.filter(|found| found.sequence == sequence)
    {
        return Ok(Some(found.row_hash));
    }
    ledger
        .prepare("SELECT row_hash FROM events WHERE project = ?1 AND sequence = ?2")?
        .query_row(params![project, sequence as i64], |found| found.get(0))
        .optional()
}

/// Whether the stored tiles lead from the leaf to the root that an authentic head commits to.
fn tree_fault(
    ledger: &Connection,
    keys: &dyn Keys,
    (project, project_id): (i64, Uuid),
    sequence: u64,
    leaf: &Hash,
) -> Result<Option<&'static str>, SqlError> {
    let head = super::heads::load_one(ledger, project)?;
    let Some(head) = head else { return Ok(Some("the head is gone or cannot be read")) };
    let Some(keys) = keys.project_keys(project_id, head.hmac_key_id) else { return Ok(None) };
    if keys.head_mac(head.size, &head.row_hash, &head.tree_root) != head.mac {
        return Ok(Some("the MAC of the head does not hold"));
    }
    if sequence >= head.size {
        return Ok(Some("the head counts fewer events"));
    }
    if Range::from_nodes(0, head.size, head.compact_range.clone()).and_then(|range| range.root()) != Some(head.tree_root) {
        return Ok(Some("the compact range of the head does not lead to its tree root"));
    }
    let mut tiles = Tiles::new(ledger, Tree::Project(project), head.size);
    let path = inclusion::path(sequence, head.size, |height, index| tiles.hash_at(height, index));
    let path = tiles.finish(path)?;
    let root = path.and_then(|path| inclusion::root(leaf, sequence, head.size, &path));
    Ok((root != Some(head.tree_root)).then_some("the tiles do not lead from the event to the tree root of the head"))
}
