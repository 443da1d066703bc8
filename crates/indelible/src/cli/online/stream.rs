//! Events from a server as they are committed: server-sent events (HTML Standard, section 9.2), as far as this server sends them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use ureq::BodyReader;

use super::{Failure, Online};

/// Longest line that is read, bytes: no record is longer.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Came {
    /// An event, by its sequence.
    Event(u64, Vec<u8>),
    /// Everything up to this sequence was looked at, where that is known; the connection lives.
    Alive(Option<u64>),
}

/// Why nothing comes.
pub(in crate::cli) enum NotFollowed {
    /// It would be refused again.
    Refused(anyhow::Error),
    /// It may work later, at this time at the earliest.
    Later(anyhow::Error, Option<Duration>),
}

/// An open stream.
pub(in crate::cli) struct Stream(BufReader<BodyReader<'static>>);

impl Online {
    /// Follows what matches, after a sequence or from now on.
    pub(in crate::cli) fn follow(&self, filter: Option<&str>, purpose: Option<&str>, after: Option<u64>) -> Result<Stream, NotFollowed> {
        let project = self.project_text();
        let mut query = Vec::new();
        query.extend(project.as_deref().map(|project| ("project_id", project)));
        query.extend(filter.map(|filter| ("filter", filter)));
        query.extend(purpose.map(|purpose| ("purpose", purpose)));
        let mut asked = self.agent.get(self.url("/v1/audit/events/stream", &query)).header("authorization", &self.authorization);
        if let Some(after) = after {
            asked = asked.header("last-event-id", after.to_string());
        }
        let answer = asked.header("accept", "text/event-stream, application/problem+json").call();
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(Stream(BufReader::new(answer.into_body().into_reader()))),
            other => Err(match self.settle(other) {
                Err(Failure::Problem(problem)) if matches!(problem.status, 429 | 500..) => {
                    NotFollowed::Later(anyhow!(problem.sentence()), problem.retry_after)
                }
                Err(Failure::Problem(problem)) => NotFollowed::Refused(anyhow!(problem.sentence())),
                Err(Failure::Other(error)) => NotFollowed::Later(error, None),
                Ok(_) => NotFollowed::Refused(anyhow!("the server answered what is no stream")),
            }),
        }
    }
}

impl Stream {
    /// What comes next; `None` where the server ended it.
    pub(in crate::cli) fn next(&mut self) -> anyhow::Result<Option<Came>> {
        let (mut id, mut data, mut some) = (None, None, false);
        let mut line = Vec::new();
        loop {
            line.clear();
            self.0.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).context("the stream broke off")?;
            let Some(text) = line.strip_suffix(b"\n") else {
                return if line.is_empty() { Ok(None) } else { Err(anyhow!("the stream broke off within a line")) };
            };
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.is_empty() && some {
                return match (id, data) {
                    (Some(id), Some(record)) => Ok(Some(Came::Event(id, record))),
                    (None, Some(_)) => Err(anyhow!("the server sent an event without its sequence")),
                    (id, None) => Ok(Some(Came::Alive(id))),
                };
            }
            some |= !text.is_empty();
            if let Some(value) = field(text, b"id") {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                id = Some(number.context("the server sent an id that is no sequence")?);
            } else if let Some(value) = field(text, b"data") {
                data = Some(value.to_vec());
            }
        }
    }
}

/// The value of a line, if it is of this field.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let value = line.strip_prefix(name)?.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}
