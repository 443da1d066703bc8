//! Verification of a whole ledger: rows in stored order, all projects at once, without the server and without the lock.

mod batch;
pub(crate) mod event;
mod heads;
mod index;
mod repeats;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

use std::path::Path;

use indelible_core::verify::Report;
use uuid::Uuid;

/// How far a verification has come; for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows done.
    pub rows: u64,
    /// Rows in all.
    pub rows_total: u64,
}

/// Why a verification could not be done at all (exit 2).
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The ledger or its keys cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// No such project.
    #[error("there is no project {0}")]
    NoProject(Uuid),
}

/// Verifies a data folder offline: chains, trees, heads, contents, wraps, duplicate ids, and the index against the entries.
/// `project_id` restricts the reports to one project.
pub fn verify_folder(
    data: &Path,
    master_key_file: Option<&Path>,
    project_id: Option<Uuid>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Report>, VerifyError> {
    let _ = (data, master_key_file, project_id, progress);
    unimplemented!()
}
