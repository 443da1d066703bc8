//! A bundle from a server, or its events by lines, as they come.

use std::io::{BufRead, BufReader, Read as _, Write};

use anyhow::{Context as _, anyhow, bail};
use indelible_core::extract::Head;
use indelible_engine::export::ExportRequest;
use serde_json::{Value, json};

use super::Online;
use crate::cli::export::{Part, Written};
use crate::cli::output;

/// Read at once, bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Records that are handed on at once: how many, and bytes.
const RECORDS_MAX: usize = 512;
const RECORDS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest line that is read, bytes: a record with its content.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl Online {
    /// Has a bundle made and writes it; one that is broken off is an error.
    pub(in crate::cli) fn export(&self, request: &ExportRequest, out: &mut dyn Write) -> anyhow::Result<Written> {
        let mut answer = self.exported(&body(request))?;
        let count = |name: &str| {
            let text = answer.headers().get(name).and_then(|value| value.to_str().ok());
            text.and_then(|text| text.parse::<u64>().ok()).with_context(|| format!("the server's answer lacks {name}"))
        };
        let bytes = count("content-length")?;
        let written = Written {
            entries: count("x-indelible-entries")?,
            left_out: count("x-indelible-left-out")?,
            events_after: count("x-indelible-events-after")?,
            bytes,
        };
        let bar = output::bar(bytes, true);
        let mut reader = answer.body_mut().with_config().limit(u64::MAX).reader();
        let mut piece = vec![0; PIECE_BYTES];
        let mut read = 0;
        loop {
            let taken = reader.read(&mut piece).context("the bundle broke off")?;
            if taken == 0 {
                break;
            }
            out.write_all(&piece[..taken]).context("cannot write the bundle")?;
            read += taken as u64;
            bar.set_position(read);
        }
        bar.finish_and_clear();
        if read != bytes {
            bail!("the bundle broke off after {read} of {bytes} bytes");
        }
        Ok(written)
    }
}

impl Online {
    /// Has events written by lines, as they come.
    pub(in crate::cli) fn extract(&self, request: &ExportRequest, part: &mut Part) -> anyhow::Result<()> {
        let mut body = body(request);
        body["format"] = json!("ndjson");
        body["manifest"] = json!(true);
        let mut answer = self.exported(&body)?;
        let after = answer.headers().get("x-indelible-events-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let after = after.context("the server's answer lacks x-indelible-events-after")?;
        let mut lines = BufReader::with_capacity(PIECE_BYTES, answer.body_mut().with_config().limit(u64::MAX).reader());
        let head = line(&mut lines)?.context("the export broke off before its first line")?;
        part.begin(Head::parse(&head).context("the server's first line is not a manifest")?, after)?;
        part.write(|take| {
            loop {
                let (mut records, mut bytes, mut ended) = (Vec::new(), 0, false);
                while records.len() < RECORDS_MAX && bytes < RECORDS_BYTES_MAX && !ended {
                    match line(&mut lines) {
                        Ok(Some(record)) => {
                            bytes += record.len();
                            let place: Place = serde_json::from_slice(&record).context("the server's line is not an event")?;
                            records.push((place.sequence, record));
                        }
                        Ok(None) => ended = true,
                        Err(error) => {
                            // What came is kept.
                            take.take(&records)?;
                            return Err(error);
                        }
                    }
                }
                take.take(&records)?;
                if ended {
                    return Ok(take.end()?);
                }
            }
        })
    }

    /// An answer that goes well.
    fn exported(&self, body: &Value) -> anyhow::Result<ureq::http::Response<ureq::Body>> {
        let asked = self.agent.post(self.project_url("/v1/audit/exports")).header("authorization", &self.authorization);
        let answer = asked.header("content-type", "application/json").send(body.to_string());
        let mut answer = answer.map_err(|error| anyhow!("cannot reach {}: {error}; is `indelible serve` running there?", self.base))?;
        if !answer.status().is_success() {
            let bytes = super::read(answer.body_mut()).map_err(|error| anyhow!("the answer broke off: {error}"))?;
            let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let detail = problem["detail"].as_str().unwrap_or("no reason was given");
            bail!("the server refused with {}: {detail}", answer.status().as_u16());
        }
        Ok(answer)
    }
}

/// Where an event stands.
#[derive(serde::Deserialize)]
struct Place {
    sequence: u64,
}

/// The next line without its end; `None` at the end of what was sent whole.
fn line(lines: &mut impl BufRead) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    lines.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).context("the export broke off")?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => bail!("the export broke off within a line"),
    }
}

/// The document that the HTTP API takes.
pub(super) fn body(request: &ExportRequest) -> Value {
    let mut body = json!({"content": request.opening.content});
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    put("filter", request.filter.clone().map(Value::from));
    put("from_sequence", request.first_sequence.map(Value::from));
    put("to_sequence", request.last_sequence.map(Value::from));
    put("from", request.from.map(|time| time.to_string().into()));
    put("to", request.to.map(|time| time.to_string().into()));
    put("purpose", request.opening.purpose.clone().map(Value::from));
    put("since", request.since.clone().map(Value::from));
    body
}
