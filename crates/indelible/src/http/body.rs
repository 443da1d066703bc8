//! Reading a body: in time, within its limit, within the memory of all bodies.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::app::App;
use super::decode::{Decoder, too_large};
use super::problem::{Kind, Problem};

/// How much of a refused body is read before the answer, so that a client that is still sending gets to read it.
pub(super) const COURTESY_BYTES: usize = 1024 * 1024;
/// The same for a body that was read because its sender is known.
pub(super) const COURTESY_BYTES_KNOWN: usize = 32 * 1024 * 1024;
/// How long it is read.
const COURTESY: Duration = Duration::from_secs(5);

/// Reads one body.
pub(super) struct Reader<'a> {
    body: &'a mut Body,
    decoder: Decoder,
    sent: usize,
    bytes_max: usize,
    idle: Duration,
    until: Instant,
}

impl<'a> Reader<'a> {
    /// A reader of at most `bytes_max` bytes, as sent and as decoded. A length that is announced and too large is refused unread.
    pub(super) fn new(app: &App, headers: &HeaderMap, body: &'a mut Body, bytes_max: usize) -> Result<Self, Problem> {
        let decoder = Decoder::new(headers, bytes_max, &app.bodies)?;
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > bytes_max as u64) {
            return Err(too_large(bytes_max));
        }
        let until = Instant::now() + app.options.body_timeout;
        Ok(Self { body, decoder, sent: 0, bytes_max, idle: app.options.idle_timeout, until })
    }

    /// Reads one piece; false when all is read and nothing of the coding is missing.
    pub(super) async fn fill(&mut self) -> Result<bool, Problem> {
        let until = self.until.min(Instant::now() + self.idle);
        let frame = timeout_at(until, self.body.frame()).await;
        let frame = frame.map_err(|_| Problem::new(Kind::RequestTimeout, "the body did not come in time; nothing was written"))?;
        match frame {
            None => {
                self.decoder.finish()?;
                Ok(false)
            }
            Some(Err(_)) => Err(Problem::new(Kind::MalformedBody, "the body ended early")),
            Some(Ok(frame)) => {
                let Ok(piece) = frame.into_data() else { return Ok(true) };
                self.sent += piece.len();
                if self.sent > self.bytes_max {
                    return Err(too_large(self.bytes_max));
                }
                self.decoder.write(&piece)?;
                Ok(true)
            }
        }
    }

    /// What was read and not taken yet.
    pub(super) fn decoded(&mut self) -> &mut Vec<u8> {
        self.decoder.decoded()
    }

    /// Reads to the end. The bytes stay paid for as long as the reader lives.
    pub(super) async fn whole(&mut self) -> Result<Vec<u8>, Problem> {
        while self.fill().await? {}
        Ok(std::mem::take(self.decoded()))
    }
}

/// Reads and drops up to `bytes_max` bytes of a body that is refused. A connection closed with bytes unread is reset,
/// and the answer lost.
pub(super) async fn drain(body: &mut Body, bytes_max: usize) {
    if hyper::body::Body::is_end_stream(body) {
        return;
    }
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if read > bytes_max {
                break;
            }
        }
    };
    let _ = timeout(COURTESY, pin!(reading)).await;
}
