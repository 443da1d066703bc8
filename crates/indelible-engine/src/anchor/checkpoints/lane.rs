//! Where a checkpoint store that is reached over a network is waited for: sealing has a thread and no runtime.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::CheckpointsError;
use super::closing::Closing;

pub(super) struct Lane {
    /// The store, as messages name it.
    store: String,
    runtime: Option<Runtime>,
    wait_max: Duration,
    closing: Closing,
}

impl Lane {
    pub(super) fn new(store: String, wait_max: Duration, closing: Closing) -> Result<Self, CheckpointsError> {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => Ok(Self { store, runtime: Some(runtime), wait_max, closing }),
            Err(error) => Err(CheckpointsError::Unusable(store, error.to_string())),
        }
    }

    /// Waits for work as long as it may take, and no longer than the ledger that closes allows.
    pub(super) fn run<T>(&self, work: impl Future<Output = Result<T, CheckpointsError>>) -> Result<T, CheckpointsError> {
        let unusable = |why: String| Err(CheckpointsError::Unusable(self.store.clone(), why));
        let Some(runtime) = &self.runtime else { return unusable("it is closed".to_owned()) };
        runtime.block_on(async {
            tokio::select! {
                done = work => done,
                () = tokio::time::sleep(self.wait_max) => {
                    unusable(format!("it did not come to an end within {} s", self.wait_max.as_secs_f32()))
                }
                () = self.closing.over() => unusable("it did not answer before the ledger closed".to_owned()),
            }
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // A look-up of a name may hang in a thread, which is not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
