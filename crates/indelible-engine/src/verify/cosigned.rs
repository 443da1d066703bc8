//! What witnesses said of the instance tree: every stored cosignature against its key and the checkpoint that it lies beside, and how many
//! checkpoints fulfil a policy.
//!
//! A line that does not hold was changed, moved or made up, since none is stored that was not verified. One that is gone does not
//! show: a quorum that was met then is missed now.

use indelible_core::note::Note;
use indelible_core::policy::Policy;
use indelible_core::verify::{Finding, Verdict};

use super::instance::InstanceFinding;
use crate::cosigning::stored::verified;
use crate::store::sql::{Connection, SqlError};

/// Checkpoints looked at in one page.
const PAGE_CHECKPOINTS: i64 = 256;
/// Findings made; more are of no use to anybody.
const FINDINGS_MAX: usize = 1_000;

/// How far the instance tree is cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cosigned {
    /// Signed checkpoints of it.
    pub checkpoints: u64,
    /// Cosignatures that hold.
    pub cosignatures: u64,
    /// Checkpoints that fulfil the policy, where one was given.
    pub fulfilled: Option<u64>,
}

/// A look at one checkpoint after the other.
pub(super) struct Cosignatures<'a> {
    ledger: &'a Connection,
    policy: Option<&'a Policy>,
    /// Where the next page begins; `None` after the last.
    next: Option<i64>,
    /// The largest size that is looked at.
    last: i64,
    counted: Cosigned,
    findings: Vec<InstanceFinding>,
}

impl<'a> Cosignatures<'a> {
    pub(super) fn new(ledger: &'a Connection, policy: Option<&'a Policy>, last: Option<i64>) -> Self {
        let counted = Cosigned { fulfilled: policy.map(|_| 0), ..Cosigned::default() };
        Self { ledger, policy, next: last.map(|_| i64::MIN), last: last.unwrap_or(0), counted, findings: Vec::new() }
    }

    /// Looks at the next checkpoints; says whether there are more.
    pub(super) fn page(&mut self) -> Result<bool, SqlError> {
        let Some(first) = self.next.take() else { return Ok(false) };
        let mut checkpoints =
            self.ledger.prepare("SELECT size, checkpoint FROM instance_checkpoints WHERE size BETWEEN ?1 AND ?2 ORDER BY size LIMIT ?3")?;
        let mut checkpoints = checkpoints.query([first, self.last, PAGE_CHECKPOINTS])?;
        while let Some(row) = checkpoints.next()? {
            let size: i64 = row.get(0)?;
            // What is no note is named with the tree.
            if let Ok(note) = Note::parse(row.get_ref(1)?.as_bytes().unwrap_or_default()) {
                self.checkpoint(size, &note)?;
            }
            self.next = size.checked_add(1).filter(|_| self.findings.len() < FINDINGS_MAX);
        }
        Ok(self.next.is_some())
    }

    fn checkpoint(&mut self, size: i64, note: &Note) -> Result<(), SqlError> {
        self.counted.checkpoints += 1;
        let mut by = Vec::new();
        let mut lines = self.ledger.prepare("SELECT witness, line FROM cosignatures WHERE size = ?1")?;
        let mut lines = lines.query([size])?;
        while let Some(row) = lines.next()? {
            let text = |at: usize| row.get_ref(at).map(|value| value.as_str().unwrap_or_default().to_owned());
            if let Some((key, ..)) = verified(note, &text(0)?, &text(1)?) {
                by.push(key);
            } else {
                let detail = format!("a cosignature beside the checkpoint of {size} anchors does not hold");
                self.findings.push((None, Finding { kind: Verdict::Altered, sequence: None, detail }));
            }
        }
        self.counted.cosignatures += by.len() as u64;
        let enough = self.policy.is_some_and(|policy| policy.is_fulfilled(|witness| by.contains(&witness.key)));
        self.counted.fulfilled = self.counted.fulfilled.map(|fulfilled| fulfilled + u64::from(enough));
        Ok(())
    }

    /// Cosignatures that lie beside no checkpoint, and all of it.
    pub(super) fn finish(mut self) -> Result<(Vec<InstanceFinding>, Cosigned), SqlError> {
        let sql = "SELECT DISTINCT size FROM cosignatures WHERE size NOT IN (SELECT size FROM instance_checkpoints) LIMIT 100";
        let mut astray = self.ledger.prepare(sql)?;
        for size in astray.query_map([], |row| row.get::<_, i64>(0))? {
            let detail = format!("there are cosignatures of a checkpoint of {} anchors, which is not there", size?);
            self.findings.push((None, Finding { kind: Verdict::Altered, sequence: None, detail }));
        }
        Ok((self.findings, self.counted))
    }
}

/// Looks at all of them in the snapshot that `ledger` sees; `go_on` is asked after each page.
pub(super) fn check(
    ledger: &Connection,
    policy: Option<&Policy>,
    last: Option<i64>,
    go_on: &dyn Fn() -> bool,
) -> Result<(Vec<InstanceFinding>, Cosigned), SqlError> {
    let mut cosignatures = Cosignatures::new(ledger, policy, last);
    while go_on() && cosignatures.page()? {}
    cosignatures.finish()
}
