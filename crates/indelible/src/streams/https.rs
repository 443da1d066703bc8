//! A request over HTTPS: HTTP/1.1 on a connection of the stream's own. No redirect is followed and nothing is compressed; of an
//! answer no more is kept than the engine looks at.
//!
//! A connection that was kept may have been closed by the other side at any moment. Where it ends before a byte of the answer came, the
//! request is sent once more on a new one: whoever receives it may see it twice, which deliveries are allowed to be.

use std::error::Error as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Response as Answer, Uri};
use hyper_util::rt::TokioIo;
use indelible_core::time::Timestamp;
use indelible_engine::clock::Clock;
use indelible_engine::stream::{ANSWER_BYTES_MAX, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uuid::Uuid;

use super::connect::{Dialer, Opened, Origin, Purpose};
use super::kept::Kept;
use indelible_engine::stream::host::HttpsUrl;

/// What is told to receivers of who sends.
const USER_AGENT: &str = concat!("indelible/", env!("CARGO_PKG_VERSION"));
/// Largest head of an answer, bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers in an answer.
const HEADERS_MAX: usize = 100;
/// Longest `Retry-After` that is passed on.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(30 * 24);
/// Headers that follow from the route and the body, or that would change how the message is framed.
const OWN_HEADERS: &[HeaderName] =
    &[header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::TE, header::UPGRADE, header::EXPECT];

/// Sends over HTTPS.
pub(super) struct Https {
    dialer: Arc<Dialer>,
    tls: Option<TlsConnector>,
    kept: Kept<Connection>,
    clock: Arc<dyn Clock>,
}

/// An open connection. Dropped, it is closed.
struct Connection {
    origin: Origin,
    sender: SendRequest<Full<Bytes>>,
    _driver: Driver,
    /// Whether a byte has come since it was last set to false.
    has_read: Arc<AtomicBool>,
}

impl Https {
    pub(super) fn new(dialer: Arc<Dialer>, clock: Arc<dyn Clock>) -> Self {
        Self { tls: dialer.tls(&[b"http/1.1"]), kept: Kept::new(dialer.patience.idle), dialer, clock }
    }

    /// Lets go of what is kept for a stream.
    pub(super) fn forget(&self, stream_id: Uuid) {
        self.kept.forget(stream_id);
    }

    /// Sends, and waits for the answer. The error is a sentence.
    pub(super) async fn send(&self, request: Request, url: &str) -> Result<Response, String> {
        let whole = self.dialer.patience.whole;
        timeout(whole, self.exchange(request, url)).await.unwrap_or_else(|_| Err(format!("no whole answer came within {whole:?}")))
    }

    async fn exchange(&self, request: Request, url: &str) -> Result<Response, String> {
        let url = HttpsUrl::parse(url)?;
        let headers = headers(&url, &request)?;
        let purpose = Purpose { version: request.version, host: url.host.clone(), port: url.port };
        let target: Uri = url.target.parse().map_err(|_| "the URL has a path or a query that cannot be sent".to_owned())?;
        let body = Bytes::from(request.body);
        let (place, mut kept) = self.kept.take(request.stream_id);
        if let Some(connection) = &mut kept
            && !self.dialer.still_leads(&mut connection.origin, &purpose).await?
        {
            kept = None;
        }
        loop {
            let (mut connection, was_kept) = match kept.take() {
                Some(connection) => (connection, true),
                None => (Connection::new(self.dialer.open(purpose.clone(), self.tls.as_ref()).await?).await?, false),
            };
            match connection.ask(&target, &headers, body.clone()).await {
                Ok(answer) => {
                    let (response, is_whole) = read(answer, self.clock.now()).await?;
                    if is_whole {
                        place.keep(connection);
                    }
                    return Ok(response);
                }
                // Nothing is kept a second time, so this is once.
                Err(_) if was_kept && !connection.has_read.load(Ordering::Relaxed) => {}
                Err(error) => return Err(format!("no answer from {}: {}", url.host, told(&error))),
            }
        }
    }
}

impl Connection {
    async fn new(opened: Opened) -> Result<Self, String> {
        let has_read = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(Watched { stream: opened.stream, has_read: Arc::clone(&has_read) });
        let made =
            Builder::new().max_headers(HEADERS_MAX).max_header_size(HEAD_BYTES_MAX).max_buf_size(2 * HEAD_BYTES_MAX).handshake(io).await;
        let (sender, connection) = made.map_err(|error| told(&error))?;
        let driver = Driver(tokio::spawn(async move {
            // What breaks it is told to whoever sends on it.
            let _ = connection.await;
        }));
        Ok(Self { origin: opened.origin, sender, _driver: driver, has_read })
    }

    async fn ask(&mut self, target: &Uri, headers: &HeaderMap, body: Bytes) -> hyper::Result<Answer<Incoming>> {
        self.has_read.store(false, Ordering::Relaxed);
        self.sender.ready().await?;
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        target.clone_into(request.uri_mut());
        headers.clone_into(request.headers_mut());
        self.sender.send_request(request).await
    }
}

/// The headers of a request, those of the route and the body included.
fn headers(url: &HttpsUrl, request: &Request) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 3);
    let host = HeaderValue::try_from(url.authority()).map_err(|_| "the host is none that a header can have".to_owned())?;
    headers.insert(header::HOST, host);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).ok().filter(|name| !OWN_HEADERS.contains(name));
        let value = HeaderValue::try_from(value).ok();
        let (Some(name), Some(mut value)) = (name, value) else {
            return Err("one of the stream's headers has a name or a value that cannot be sent".to_owned());
        };
        value.set_sensitive(true);
        // A stream may say it of itself.
        if name == header::USER_AGENT {
            headers.remove(&name);
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// Reads an answer; and whether that was all of it, so that another can follow on the connection.
async fn read(answer: Answer<Incoming>, now: Timestamp) -> Result<(Response, bool), String> {
    let (head, mut incoming) = answer.into_parts();
    let mut body = Vec::new();
    let mut is_whole = !head.status.is_informational();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {}", told(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        let taken = data.len().min(ANSWER_BYTES_MAX - body.len());
        body.extend_from_slice(&data[..taken]);
        if taken < data.len() {
            is_whole = false;
            break;
        }
    }
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
    Ok((Response { status: Some(head.status.as_u16()), retry_after, body }, is_whole))
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, of which those that are past are now.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)).min(RETRY_AFTER_MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let now = UNIX_EPOCH + Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0));
    Some(date.duration_since(now).unwrap_or_default().min(RETRY_AFTER_MAX))
}

/// An error of hyper's with what it came from.
fn told(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The task that reads and writes; it ends with the connection.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A stream that tells whether anything came.
struct Watched {
    stream: TlsStream<TcpStream>,
    has_read: Arc<AtomicBool>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if into.filled().len() > before {
            self.has_read.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// What lies in several pieces is not copied together: a body of some mebibytes would stay with the connection.
    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::parse("2026-11-29T12:00:00.5Z").expect("a time");
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let cases = [
            ("0", seconds(0)),
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("99999999999999999999999", Some(RETRY_AFTER_MAX)),
            ("Sun, 29 Nov 2026 12:00:30 GMT", Some(Duration::from_millis(29_500))),
            ("Sunday, 29-Nov-26 12:00:30 GMT", Some(Duration::from_millis(29_500))),
            ("Sun Nov 29 12:00:30 2026", Some(Duration::from_millis(29_500))),
            ("Sun, 29 Nov 2026 11:00:00 GMT", seconds(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(RETRY_AFTER_MAX)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("2026-11-29T12:00:30Z", None),
        ];
        for (value, expected) in cases {
            assert_eq!(retry_after(value, now), expected, "{value:?}");
        }
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let route = indelible_engine::stream::Route::Https { url: String::new() };
        Request { stream_id: Uuid::nil(), version: 1, route: Arc::new(route), headers, body: b"body".to_vec() }
    }

    #[test]
    fn headers_are_the_streams_but_for_those_that_frame_the_message() {
        let url = HttpsUrl::parse("https://[2001:db8::1]:8443/x").expect("a URL");
        let made = headers(&url, &request(&[("Authorization", "Bearer x"), ("X-A", "1"), ("X-A", "2")])).expect("headers");
        assert_eq!((&made["host"], &made["content-length"]), (&"[2001:db8::1]:8443".parse().expect("a value"), &4.into()));
        assert_eq!((made.get_all("x-a").iter().count(), made["authorization"].is_sensitive()), (2, true));
        assert!(made["user-agent"].to_str().is_ok_and(|agent| agent.starts_with("indelible/")));
        let own = headers(&url, &request(&[("User-Agent", "mine")])).expect("headers");
        assert_eq!(own.get_all("user-agent").iter().collect::<Vec<_>>(), ["mine"]);
        let refused = [
            ("Host", "a"),
            ("content-length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("connection", "close"),
            ("a b", "c"),
            ("", "x"),
            ("x", "a\r\nb: c"),
            ("x\n", "1"),
        ];
        for (name, value) in refused {
            let error = headers(&url, &request(&[(name, value)])).expect_err(name);
            assert!(!error.contains(value) || value.len() < 2, "{error}");
        }
    }
}
