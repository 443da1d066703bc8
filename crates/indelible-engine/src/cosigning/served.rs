//! Which checkpoint of the instance tree somebody else is handed: with the cosignatures that there are, and where there is a witness
//! policy, the newest that its quorum cosigned, so that who asks a moment after a sealing is not handed one that no witness has seen.
//!
//! No witness keeps back what was signed: where the quorum did not cosign what is asked about, or cannot be expected to cosign
//! anything now, it is the newest checkpoint.

use indelible_core::note::Note;

use super::Cosigning;
use super::stored::{self, Stored};
use crate::store::StoreError;
use crate::store::sql::Connection;

/// A checkpoint as it is handed out.
pub(crate) struct Served {
    /// Leaves.
    pub(crate) size: u64,
    /// With the cosignatures.
    pub(crate) note: Note,
}

/// The checkpoint that stands for the whole tree; `None` where nothing was signed.
pub(crate) fn current(view: &Connection, cosigning: Option<&Cosigning>) -> Result<Option<Served>, StoreError> {
    let preferred = cosigning.filter(|cosigning| cosigning.is_expected());
    let cosigned = preferred.map(|cosigning| cosigned(view, cosigning, 0)).transpose()?.flatten();
    cosigned.map_or_else(|| newest(view, cosigning), |stored| Ok(Some(serve(&stored, cosigning))))
}

/// One that covers the leaf at `position`, if the newest does; otherwise the newest.
pub(crate) fn covering(view: &Connection, cosigning: Option<&Cosigning>, position: u64) -> Result<Option<Served>, StoreError> {
    let cosigned = cosigning.map(|cosigning| cosigned(view, cosigning, position.saturating_add(1))).transpose()?.flatten();
    cosigned.map_or_else(|| newest(view, cosigning), |stored| Ok(Some(serve(&stored, cosigning))))
}

/// The newest one, whoever cosigned it.
pub(crate) fn newest(view: &Connection, cosigning: Option<&Cosigning>) -> Result<Option<Served>, StoreError> {
    let stored = stored::newest_size(view)?.map(|size| stored::at(view, size)).transpose()?.flatten();
    Ok(stored.map(|stored| serve(&stored, cosigning)))
}

/// The newest of at least so many leaves that the quorum cosigned.
fn cosigned(view: &Connection, cosigning: &Cosigning, leaves: u64) -> Result<Option<Stored>, StoreError> {
    let Some(size) = cosigning.cosigned_size().filter(|size| *size >= leaves) else { return Ok(None) };
    let known = stored::at(view, size)?.filter(|stored| stored.fulfils(cosigning.policy()));
    // The view may be a moment older, or what was stored changed: then it is looked for.
    let known = known.map_or_else(|| stored::newest_fulfilled(view, cosigning.policy()), |known| Ok(Some(known)))?;
    Ok(known.filter(|stored| stored.size >= leaves))
}

fn serve(stored: &Stored, cosigning: Option<&Cosigning>) -> Served {
    Served { size: stored.size, note: stored.assembled(cosigning.map(Cosigning::policy)) }
}
