//! A client for the bench: HTTP/1.1 over one kept connection, written by hand so that it costs the measured machine
//! as little as may be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// One connection to the server.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    key: String,
    head: String,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The `Server-Timing` field.
    pub(crate) timing: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), key: key.to_owned(), head: String::new() })
    }

    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.request("GET", path, "", &[])
    }

    /// Asks for JSON where there is a text as well.
    pub(crate) fn get_json(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.request("GET", path, "Accept: application/json\r\n", &[])
    }

    /// Deletes, and takes whatever comes.
    pub(crate) fn delete(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.request("DELETE", path, "", &[])
    }

    /// Posts and expects 201.
    pub(crate) fn append(&mut self, content_type: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let answer = self.post("/v1/audit/events", content_type, body)?;
        ensure!(answer.status == 201, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(answer)
    }

    /// Posts, and takes whatever comes.
    pub(crate) fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> anyhow::Result<Answer> {
        self.request("POST", path, &format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len()), body)
    }

    fn request(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) -> anyhow::Result<Answer> {
        use std::fmt::Write as _;
        self.head.clear();
        write!(self.head, "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n{fields}\r\n", self.key)?;
        let stream = self.stream.get_mut();
        if body.len() < 16 * 1024 {
            // One segment: two small writes would wait for each other.
            let mut whole = self.head.as_bytes().to_vec();
            whole.extend_from_slice(body);
            stream.write_all(&whole)?;
        } else {
            stream.write_all(self.head.as_bytes())?;
            stream.write_all(body)?;
        }
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).with_context(|| format!("not a status line: {line:?}"))?;
        let (mut length, mut timing) = (None, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse::<usize>().ok(),
                "server-timing" => value.clone_into(&mut timing),
                "transfer-encoding" => bail!("chunked answers are not read here"),
                _ => {}
            }
        }
        let length = if status == 204 { Some(0) } else { length };
        let mut body = vec![0; length.context("no content-length")?];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, timing, body })
    }
}

impl Answer {
    /// The milliseconds that `Server-Timing` gives for `name`.
    pub(crate) fn milliseconds(&self, name: &str) -> Option<f64> {
        self.timing.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix(";dur=")?.parse().ok())
    }
}
