//! Frames of syslog over TLS (RFC 5425). Whoever receives them says nothing, so nobody can know what became of them.
//!
//! What can be known is looked at: that the connection was still open before, that everything was handed to the network, and that the other
//! side had not closed it within two round trips after, for that is how long the answer to bytes that nobody takes is under way. What
//! was taken by a machine whose program then dies is lost, and only a receiver that answers could tell.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use indelible_engine::stream::{Request, Response};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uuid::Uuid;

use super::connect::{Dialer, Opened, Origin, Purpose};
use super::kept::Kept;
use indelible_engine::stream::host::Host;

/// How long it is looked whether the other side closes, at most, unless the [`Patience`](super::connect::Patience) is to look longer.
const SETTLE_MAX: Duration = Duration::from_millis(500);
/// How long saying farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// What a receiver says is thrown away, so much of it at a time.
const HEARD_BYTES: usize = 1024;

/// Sends over TLS.
pub(super) struct Syslog {
    dialer: Arc<Dialer>,
    tls: Option<TlsConnector>,
    kept: Kept<Connection>,
}

/// An open connection. Dropped, it says farewell and is closed.
struct Connection {
    origin: Origin,
    stream: Option<TlsStream<TcpStream>>,
    settle: Duration,
}

impl Syslog {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self { tls: dialer.tls(&[]), kept: Kept::new(dialer.patience.idle), dialer }
    }

    /// Lets go of what is kept for a stream.
    pub(super) fn forget(&self, stream_id: Uuid) {
        self.kept.forget(stream_id);
    }

    /// Sends. The error is a sentence.
    pub(super) async fn send(&self, request: Request, host: &str, port: u16) -> Result<Response, String> {
        let whole = self.dialer.patience.whole;
        let late = |_| Err(format!("{host} did not take everything within {whole:?}"));
        timeout(whole, self.deliver(request, host, port)).await.unwrap_or_else(late)
    }

    async fn deliver(&self, request: Request, host: &str, port: u16) -> Result<Response, String> {
        let host = Host::parse(host)?;
        let purpose = Purpose { version: request.version, host: host.clone(), port };
        let (place, mut kept) = self.kept.take(request.stream_id);
        let mut usable = None;
        if let Some(mut connection) = kept.take()
            && self.dialer.still_leads(&mut connection.origin, &purpose).await?
            && !connection.has_ended().await
        {
            usable = Some(connection);
        }
        let mut connection = match usable {
            Some(connection) => connection,
            None => Connection::new(self.dialer.open(purpose, self.tls.as_ref()).await?, self.dialer.patience.settle),
        };
        connection.write(&request.body).await.map_err(|error| format!("{host} did not take everything: {error}"))?;
        place.keep(connection);
        Ok(Response::default())
    }
}

impl Connection {
    fn new(opened: Opened, least: Duration) -> Self {
        let settle = (2 * opened.round_trip).min(SETTLE_MAX).max(least);
        Self { origin: opened.origin, stream: Some(opened.stream), settle }
    }

    /// Whether the other side is known to have closed it.
    async fn has_ended(&mut self) -> bool {
        poll_fn(|context| Poll::Ready(self.poll_end(context).is_ready())).await
    }

    /// Writes everything, and waits whether the other side closes.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(bytes).await?;
        stream.flush().await?;
        let settle = self.settle;
        match timeout(settle, poll_fn(|context| self.poll_end(context))).await {
            Ok(error) => Err(error),
            Err(_) => Ok(()),
        }
    }

    /// Ready, with how, once the other side has closed it; what it says is thrown away.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(io::ErrorKind::NotConnected.into()) };
        let mut bytes = [0; HEARD_BYTES];
        loop {
            let mut heard = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(context, &mut heard) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Ready(Ok(())) if heard.filled().is_empty() => {
                    return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "it closed the connection"));
                }
                Poll::Ready(Ok(())) => {}
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // RFC 5425, section 4.4: whoever closes says so first, or what was sent last may be taken for cut off.
        if let (Some(mut stream), Ok(runtime)) = (self.stream.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { timeout(FAREWELL, stream.shutdown()).await });
        }
    }
}
