//! Checkpoints of the instance tree as they are shown: the note of the log with the cosignatures that exist in it.
//!
//! Two of them: the newest, which witnesses may not have seen yet, and the newest that the quorum of the policy cosigned, which is
//! what somebody else should believe. Like any read of the log it is recorded before it is answered.

use indelible_core::note::VerifierKey;

use super::reading::Reading;
use super::{Opening, ReadError};
use crate::access::Caller;
use crate::anchor::{SigningKeys, instance_origin};
use crate::cosigning::stored::{self, Stored};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::store::StoreError;
use crate::store::sql::Connection;

/// A checkpoint of the instance tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceCheckpoint {
    /// Leaves.
    pub size: u64,
    /// The signed note, with the cosignatures.
    pub note: String,
    /// Who cosigned it, and when by their own word, seconds since 1970.
    pub cosigned_by: Vec<(VerifierKey, u64)>,
}

/// What is shown of the instance tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceCheckpoints {
    /// The newest.
    pub newest: Option<InstanceCheckpoint>,
    /// The newest that the quorum cosigned; `None` where there is no witness policy.
    pub cosigned: Option<InstanceCheckpoint>,
}

/// Reads both in one view. Not recorded here.
pub(crate) fn instance_checkpoints(ledger: &Ledger, view: &Connection) -> Result<InstanceCheckpoints, StoreError> {
    let policy = ledger.inner.cosigning.as_ref().map(|cosigning| cosigning.policy());
    let shown = |stored: Stored| InstanceCheckpoint {
        size: stored.size,
        note: stored.assembled(policy).to_string(),
        cosigned_by: stored.cosignatures.into_iter().map(|cosignature| (cosignature.key, cosignature.seconds)).collect(),
    };
    let newest = stored::newest_size(view)?.map(|size| stored::at(view, size)).transpose()?.flatten().map(&shown);
    let cosigned = policy.map(|policy| stored::newest_fulfilled(view, policy)).transpose()?.flatten().map(&shown);
    Ok(InstanceCheckpoints { newest, cosigned })
}

impl Ledger {
    /// The key that signs the instance tree now: what witnesses are told, and nobody's data.
    pub fn instance_key(&self) -> Result<Option<VerifierKey>, ReadError> {
        let unreadable = |error: &dyn std::fmt::Display| ReadError::Unavailable(error.to_string());
        let origin = instance_origin(self.instance_name()).map_err(|error| unreadable(&error))?;
        let reader = self.inner.readers.get().map_err(|error| unreadable(&error))?;
        let keys = SigningKeys::load(&reader).map_err(|error| unreadable(&error))?;
        Ok(keys.verifier_keys(&origin).pop())
    }

    /// The newest checkpoint of the instance tree, and the newest that the quorum cosigned.
    pub async fn instance_checkpoints(&self, caller: &Caller, project: &Project) -> Result<InstanceCheckpoints, ReadError> {
        let reading = Reading::new(caller, project, "checkpoint", "instance", &Opening::default());
        self.read(reading, |lane, account| {
            let checkpoints = instance_checkpoints(lane.ledger, &*lane.reader()?).map_err(|error| {
                tracing::error!(%error, "checkpoints could not be read");
                ReadError::Unavailable("the store cannot be read now".to_owned())
            })?;
            account.returned = u64::from(checkpoints.newest.is_some());
            Ok(checkpoints)
        })
        .await
    }
}
