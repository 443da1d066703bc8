//! A client that speaks bytes: for requests that no honest client sends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A connection.
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        Self(stream)
    }

    /// Writes; a peer that has closed already is told by what is read.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// The head of a POST of JSON that says it has so many bytes.
    pub(crate) fn head(&mut self, key: &str, request_id: &str, length: usize) {
        self.write(format!(
            "POST /v1/audit/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             X-Request-Id: {request_id}\r\nContent-Length: {length}\r\n\r\n"
        ));
    }

    /// Sends no more.
    pub(crate) fn end(&self) {
        self.0.shutdown(Shutdown::Write).ok();
    }

    /// The first of what the server sends.
    pub(crate) fn some(&mut self) -> String {
        let mut bytes = [0; 1_024];
        let read = self.0.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    /// Everything until the server closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).ok();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The status of the answer; 0 where there is none.
    pub(crate) fn status(&mut self) -> u16 {
        status(&self.rest())
    }
}

/// The status in a status line.
pub(crate) fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}
