//! How what a stream sends reaches whoever receives it. Handed in: nothing in this crate knows HTTP, TLS or where files of streams lie.

use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

/// Bytes of an answer that are read at most.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Something that is to be sent once.
#[derive(Clone)]
pub struct Request {
    /// The stream. What is kept open for one stream is used for no other.
    pub stream_id: Uuid,
    /// The version of its document: what was opened under another is closed.
    pub version: u64,
    /// Where to, and how.
    pub route: Arc<Route>,
    /// The headers that are sent along, where there are headers. Credentials are among them.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
}

/// Where to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `POST` to an `https` URL.
    Https {
        /// Without user, password and fragment.
        url: String,
    },
    /// Over TLS to a host and port (RFC 5425). Whoever receives it says nothing.
    Tls {
        /// A name or an address, as in a URL: IPv6 in brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// To the end of a file in the folder that the server was given for them.
    File {
        /// Its name, without a folder.
        name: String,
    },
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The status of HTTP; `None` where there is none, and what was sent is known to have been taken as far as it can be.
    pub status: Option<u16>,
    /// `Retry-After`, as a time from now.
    pub retry_after: Option<Duration>,
    /// The first [`ANSWER_BYTES_MAX`] bytes of the body.
    pub body: Vec<u8>,
}

/// It could not be sent, or no whole answer came: one sentence that repeats nothing of headers and body. Whether it was taken is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SendError(pub String);

/// What comes of sending.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response, SendError>> + Send + 'a>>;

/// Sends requests. Dropping what [`Self::send`] returns gives up the request.
pub trait Transport: Send + Sync + 'static {
    /// Sends one, within a time of its own, and waits for the answer.
    fn send(&self, request: Request) -> Sending<'_>;

    /// Lets go of what is kept open for a stream.
    fn forget(&self, stream_id: Uuid);
}

impl Debug for Request {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} by {:?}, {} bytes)", self.stream_id, self.route, self.body.len())
    }
}
