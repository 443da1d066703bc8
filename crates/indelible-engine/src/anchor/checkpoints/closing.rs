//! How long a checkpoint store that does not answer may still be waited for once the ledger closes.
//!
//! Closing seals once more, and must come to its end whatever the store does: what is under way then, and what begins after, has
//! [`CLOSING_WAIT`] in all.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// What a store that does not answer may delay closing by.
const CLOSING_WAIT: Duration = Duration::from_secs(5);

/// Who says that it closes.
pub(crate) struct Closer(watch::Sender<Option<Instant>>);

/// Who hears of it.
#[derive(Clone)]
pub(crate) struct Closing(watch::Receiver<Option<Instant>>);

/// Both ends. Without a [`Closer`], nothing closes.
pub(crate) fn closing() -> (Closer, Closing) {
    let (sender, receiver) = watch::channel(None);
    (Closer(sender), Closing(receiver))
}

impl Closer {
    /// From now on a store may be waited for that long. Said twice, the first counts.
    pub(crate) fn close(&self) {
        self.0.send_if_modified(|until| {
            let first = until.is_none();
            until.get_or_insert_with(|| Instant::now() + CLOSING_WAIT);
            first
        });
    }
}

impl Closing {
    /// Returns when there is no time left.
    pub(super) async fn over(&self) {
        let mut until = self.0.clone();
        loop {
            let said = *until.borrow_and_update();
            match said {
                Some(until) => return tokio::time::sleep_until(until).await,
                None if until.changed().await.is_err() => return std::future::pending().await,
                None => {}
            }
        }
    }
}
