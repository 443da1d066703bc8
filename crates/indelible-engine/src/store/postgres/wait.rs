//! Waiting, on a thread that is no runtime's, for what the sockets' own runtime brings.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};

use crate::store::sql::{SqlError, SqlResult};

/// Serves the sockets of every session of the process.
static WIRES: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("indelible-postgres").enable_all().build();
    built.inspect_err(|error| tracing::error!(%error, "no database can be reached")).ok()
});

/// The runtime that serves the sockets.
pub(crate) fn wires() -> SqlResult<&'static Handle> {
    WIRES.as_ref().map(Runtime::handle).ok_or_else(|| SqlError::Unreachable("the system gives no thread for it".to_owned()))
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer, at most so long.
pub(crate) fn wait<T>(asked: impl Future<Output = Result<T, tokio_postgres::Error>>, at_most: Duration) -> SqlResult<T> {
    Ok(wait_for(asked, at_most)??)
}

/// Waits for what a future brings. It must not need a runtime: what is asked of a session does not, once it is connected.
pub(super) fn wait_for<F: Future>(asked: F, at_most: Duration) -> SqlResult<F::Output> {
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut asked = pin!(asked);
    let until = Instant::now() + at_most;
    loop {
        if let Poll::Ready(answer) = asked.as_mut().poll(&mut context) {
            return Ok(answer);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SqlError::Unreachable(format!("the database did not answer within {} s", at_most.as_secs_f32())));
        }
        std::thread::park_timeout(left);
    }
}
