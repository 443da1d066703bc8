//! What a thread writes to that makes an answer while somebody reads it.
//!
//! It waits for the reader, but not for ever: one that takes less than [`PACE`] says is held to have
//! gone. Without that a few readers that drip would keep the threads and places of all others.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Bytes handed over at once.
const PIECE_BYTES: usize = 64 * 1024;
/// How fast a reader has to be.
const PACE: Pace = Pace { bytes_a_second: 32 * 1024, grace: Duration::from_mins(1) };

/// What a reader has to take of what is ready for it, on average.
#[derive(Debug, Clone, Copy)]
struct Pace {
    bytes_a_second: u32,
    /// How long it may take in addition.
    grace: Duration,
}

/// Pieces for the connection, of which a few may lie between.
pub(in super::super) struct Sink {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    handed_over: u64,
    /// How long the reader was waited for.
    waited: Duration,
    pace: Pace,
    runtime: Handle,
}

impl Sink {
    /// Within a runtime, or on one of its threads that may block.
    pub(in super::super) fn new(pieces: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self::at_pace(pieces, PACE)
    }

    fn at_pace(pieces: mpsc::Sender<io::Result<Bytes>>, pace: Pace) -> Self {
        let (piece, runtime) = (Vec::with_capacity(PIECE_BYTES), Handle::current());
        Self { pieces, piece, handed_over: 0, waited: Duration::ZERO, pace, runtime }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES)));
        let bytes = piece.len() as u64;
        let left = self.allowed(bytes).saturating_sub(self.waited);
        let began = Instant::now();
        // Made within the future: what keeps time asks for the runtime.
        let sent = self.runtime.block_on(async { self.pieces.send_timeout(Ok(piece), left).await });
        self.waited += began.elapsed();
        self.handed_over += bytes;
        sent.map_err(|error| match error {
            mpsc::error::SendTimeoutError::Timeout(_) => io::Error::new(io::ErrorKind::TimedOut, "it is read too slowly"),
            mpsc::error::SendTimeoutError::Closed(_) => io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more"),
        })
    }

    /// How long the reader may be waited for until so many bytes more are handed over.
    fn allowed(&self, bytes: u64) -> Duration {
        self.pace.grace + Duration::from_secs_f64((self.handed_over + bytes) as f64 / f64::from(self.pace.bytes_a_second))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.hand_over() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes pieces until it fails, while nobody takes one before `pause` is over, each time.
    fn written(pace: Pace, pause: Duration, pieces_max: usize) -> (usize, Option<io::ErrorKind>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (pieces, mut taken) = mpsc::channel(1);
            let writer = tokio::task::spawn_blocking(move || {
                let mut sink = Sink::at_pace(pieces, pace);
                let count = (0..pieces_max).take_while(|_| sink.write_all(&vec![0; PIECE_BYTES]).is_ok()).count();
                (count, sink.write_all(&vec![0; PIECE_BYTES]).err().map(|error| error.kind()))
            });
            while !writer.is_finished() {
                tokio::time::sleep(pause).await;
                let _ = taken.try_recv();
            }
            writer.await.expect("it ends")
        })
    }

    #[test]
    fn a_reader_that_drips_is_given_up_and_one_that_is_slow_is_not() {
        // A tenth of a second for each piece.
        let pace = Pace { bytes_a_second: 10 * 64 * 1024, grace: Duration::ZERO };
        let (count, error) = written(pace, Duration::from_secs(1), 10);
        assert!(count < 10 && error == Some(io::ErrorKind::TimedOut), "{count} {error:?}");
        assert_eq!(written(Pace { grace: Duration::from_mins(1), ..pace }, Duration::from_millis(200), 10), (10, None));
    }

    #[test]
    fn what_nobody_takes_any_more_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _within = runtime.enter();
        let (pieces, taken) = mpsc::channel(1);
        drop(taken);
        let error = Sink::new(pieces).write_all(&vec![0; PIECE_BYTES]).expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
