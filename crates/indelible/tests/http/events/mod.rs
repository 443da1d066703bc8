//! `/v1/audit/events`: handing in, in every form and at every limit; asking.

mod body;
mod faults;
pub(crate) mod forms;
mod limits;
mod list;
mod retries;
mod stream;
mod trouble;
