//! `/tlog/{project}/…`: a log as third-party auditors read it (c2sp.org/tlog-tiles).

pub(super) mod checkpoint;
pub(super) mod tile;

use indelible_engine::query::tlog::Log;

use super::call::Call;
use super::problem::Problem;

/// What the first variable of these routes is.
const PROJECT: &str = "A project's id; or `instance`, for keys of the instance.";

/// The log that the path names. One that the caller may not read is recorded before it is answered.
async fn log(call: &Call) -> Result<Log, Problem> {
    Ok(call.app.ledger.log_for(&call.caller, call.variable(0), call.action).await?)
}
