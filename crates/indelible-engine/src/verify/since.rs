//! Going on from what was verified before: where that is written, whether it is believed, and what is not read again.
//!
//! A complete verification in which nothing was wrong leaves a note beside the checkpoint store: the newest signed checkpoint of the
//! instance tree then, under a MAC of the ring. One that went on from there leaves a second, so that the next need not read the same
//! again; the first stays, and is what it rests on. Or the caller names a signed checkpoint, and vouches for it. Everything else is
//! taken from the ledger as it is now, and only as far as it leads to the roots that were signed.

use std::collections::HashMap;
use std::io::{Error, Read as _};
use std::path::Path;

use indelible_core::chain::Hash;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::Note;
use indelible_core::verified::{Extent, VERIFIED_BYTES_MAX, Verified};
use indelible_core::verify::Start;
use uuid::Uuid;

use super::VerifyError;
use super::signed::Signed;
use super::walk::Keys;
use crate::anchor::{CheckpointStore, beside};
use crate::keystore::KeyStore;
use crate::store::sql::{Connection, OptionalExtension, SqlError};
use crate::store::{private_folder, write_private};

/// Suffix of the file of a note.
const fn suffix(extent: Extent) -> &'static str {
    match extent {
        Extent::Complete => ".verified",
        Extent::Partial => ".verified-partial",
    }
}

/// The note, as a sentence calls it.
const fn title(extent: Extent) -> &'static str {
    match extent {
        Extent::Complete => "the note of the last complete verification",
        Extent::Partial => "the note of the last verification that went on",
    }
}

/// From where a verification goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// From the note that the last complete verification left, or from that of one which went on from there.
    Last,
    /// From this signed checkpoint, of the instance tree or of one project: whoever names it says that everything up to it was verified.
    Checkpoint(Vec<u8>),
}

/// What was verified before.
pub(super) enum Base {
    /// All projects, as far as the anchors in this tree cover them.
    Instance {
        checkpoint: Checkpoint,
        /// Digest of the names of the resources whose making is covered, where that is known. Their documents are not in it.
        resources: Option<Hash>,
    },
    /// One project.
    Project { project_id: Uuid, checkpoint: Checkpoint },
}

impl Base {
    /// Leaves that were verified.
    pub(super) const fn size(&self) -> u64 {
        let (Self::Instance { checkpoint, .. } | Self::Project { checkpoint, .. }) = self;
        checkpoint.size
    }
}

impl Since {
    /// The one project that it is of.
    pub(super) fn project(&self) -> Option<Uuid> {
        let Self::Checkpoint(bytes) = self else { return None };
        let note = Note::parse(bytes).ok()?;
        let checkpoint = Checkpoint::parse(note.text()).ok()?;
        checkpoint.origin.as_str().rsplit_once('/').and_then(|(_, id)| Uuid::try_parse(id).ok())
    }

    /// What it says, if it is to be believed.
    pub(super) fn base(&self, signed: &Signed, keys: &dyn Keys, store: &CheckpointStore) -> Result<Base, VerifyError> {
        let Self::Checkpoint(bytes) = self else { return last(signed, keys, store) };
        let project_id = self.project();
        let log = signed.log(project_id).ok_or_else(|| refused("the ledger does not name its instance"))?;
        let checkpoint = log.open(bytes);
        let checkpoint = checkpoint.map_err(|(_, why)| refused(&format!("what --since names is no checkpoint of this ledger ({why})")))?;
        Ok(match project_id {
            Some(project_id) => Base::Project { project_id, checkpoint },
            None => Base::Instance { checkpoint, resources: None },
        })
    }
}

fn refused(why: &str) -> VerifyError {
    VerifyError::Since(format!("{why}: verify without --since"))
}

/// The later of the two notes; the one of a complete verification has to be there.
fn last(signed: &Signed, keys: &dyn Keys, store: &CheckpointStore) -> Result<Base, VerifyError> {
    let root = store.folder().ok_or_else(|| {
        VerifyError::Since(
            "a note of a complete verification is left beside a checkpoint store in a folder alone: name a checkpoint".to_owned(),
        )
    })?;
    let instance = signed.instance().ok_or_else(|| refused("the ledger does not name its instance"))?;
    let path = |extent| beside(root, instance.as_str(), suffix(extent));
    let complete = read(&path(Extent::Complete)).map_err(|error| {
        VerifyError::Since(format!(
            "there is no note of a complete verification ({}: {error}): verify without --since, which leaves one",
            path(Extent::Complete).display()
        ))
    })?;
    let complete = believed(Extent::Complete, &complete, signed, keys)?;
    let partial = match read(&path(Extent::Partial)) {
        Ok(bytes) => believed(Extent::Partial, &bytes, signed, keys)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(complete),
        Err(error) => return Err(refused(&format!("{} ({error})", title(Extent::Partial)))),
    };
    Ok(if partial.size() > complete.size() { partial } else { complete })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(VERIFIED_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a note says, if it was made with the keys of this ledger.
fn believed(extent: Extent, bytes: &[u8], signed: &Signed, keys: &dyn Keys) -> Result<Base, VerifyError> {
    let title = title(extent);
    let verified = Verified::parse(bytes).filter(|verified| verified.extent == extent);
    let verified = verified.ok_or_else(|| refused(&format!("{title} is none")))?;
    let text = Verified::text(extent, &verified.resources, &verified.checkpoint);
    let holds = keys.verified_mac(Some(verified.hmac_key_id), &text).is_some_and(|(_, mac)| mac == verified.mac);
    if !holds {
        return Err(refused(&format!("{title} was not made with the keys of this ledger, or was changed")));
    }
    let log = signed.log(None).ok_or_else(|| refused("the ledger does not name its instance"))?;
    let checkpoint = log.open(verified.checkpoint.to_string().as_bytes());
    let checkpoint = checkpoint.map_err(|(_, why)| refused(&format!("the checkpoint in {title}: {why}")))?;
    Ok(Base::Instance { checkpoint, resources: Some(verified.resources) })
}

/// What a note is made of.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(super) extent: Extent,
    pub(super) instance: String,
    pub(super) resources: Hash,
    pub(super) checkpoint: Note,
}

impl Settled {
    /// Leaves the note beside the checkpoint store, where there is one in a folder; it is there whole or not at all. A complete
    /// verification is all that goes on from it: what went on from an earlier one is over.
    pub(crate) fn leave(self, keystore: &KeyStore, store: &CheckpointStore) -> Result<(), Error> {
        let Self { extent, instance, resources, checkpoint } = self;
        let Some(root) = store.folder().filter(|root| root.is_dir()) else { return Ok(()) };
        let mac = keystore.verified_mac(None, &Verified::text(extent, &resources, &checkpoint));
        let (hmac_key_id, mac) = mac.ok_or_else(|| Error::other("the ring has no key"))?;
        private_folder(root)?;
        let verified = Verified { extent, resources, checkpoint, hmac_key_id, mac };
        write_private(&beside(root, &instance, suffix(extent)), verified.to_string().as_bytes())?;
        if extent == Extent::Complete {
            // Were it to stay, the larger of the two would count, which is this one.
            drop(std::fs::remove_file(beside(root, &instance, suffix(Extent::Partial))));
        }
        Ok(())
    }
}

/// What is not read again.
pub(super) struct Plan {
    /// By project number.
    pub(super) starts: HashMap<i64, Started>,
    /// The first row that is read.
    pub(super) first_row: i64,
}

/// Where one project goes on.
pub(super) struct Started {
    /// Until the walk begins.
    pub(super) start: Option<Start>,
    pub(super) size: u64,
    /// Row number and time of the last row that is not read again.
    pub(super) last_row: i64,
    pub(super) recorded_at: i64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { starts: HashMap::new(), first_row: i64::MIN }
    }
}

/// Of each project, the last anchor among the first leaves of the instance tree, and the rows that it covers.
pub(super) fn anchored(ledger: &Connection, leaves: u64) -> Result<HashMap<i64, (u64, u64)>, SqlError> {
    let mut statement = ledger.prepare(
        "SELECT project, number, coalesce(tree_size, 0) FROM (
             SELECT project, max(number) AS number FROM instance_leaves WHERE position < ?1 GROUP BY project
         ) AS newest LEFT JOIN anchors USING (project, number)",
    )?;
    let rows = statement.query_map([i64::try_from(leaves).unwrap_or(i64::MAX)], |row| {
        Ok((row.get(0)?, (row.get::<_, i64>(1)?.unsigned_abs(), row.get::<_, i64>(2)?.unsigned_abs())))
    })?;
    rows.collect()
}

/// The signed checkpoint of the instance tree of so many leaves.
pub(super) fn checkpoint(ledger: &Connection, size: i64) -> Result<Option<Note>, SqlError> {
    let mut select = ledger.prepare("SELECT checkpoint FROM instance_checkpoints WHERE size = ?1")?;
    let note = select.query_row([size], |row| Ok(row.get_ref(0)?.as_str().map(str::to_owned))).optional()?.flatten();
    Ok(note.and_then(|note| Note::parse(note.as_bytes()).ok()))
}
