//! Work that would hold up the other tasks of a thread.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does work at once, beside the runtime where it may take long. A runtime of one thread, as in tests, has no beside.
pub fn apart<T>(long: bool, work: impl FnOnce() -> T) -> T {
    let several = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if long && several { tokio::task::block_in_place(work) } else { work() }
}
