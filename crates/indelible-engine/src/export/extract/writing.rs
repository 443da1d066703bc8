//! Records become the lines of a file. The last lines are held back until the end is recorded, unless nothing of the file leaves before.

use std::io::{self, Write};

use indelible_core::extract::{Lines, Written};
use indelible_core::hex;

use super::Record;

/// What takes the records of an extract.
pub trait Take {
    /// Takes records in their order; how many bytes they make. These may leave once others come, or at the end.
    fn take(&mut self, records: &[Record]) -> io::Result<u64>;

    /// What is to be said of it in the record of the export: all records were taken.
    fn told(&self) -> Vec<(&'static str, String)>;

    /// It is recorded: the rest may leave. Of what stays, before that: makes it durable.
    fn end(&mut self) -> io::Result<()>;

    /// Everything before this sequence was gone through.
    fn passed(&mut self, _next: u64) {}

    /// Whether nothing of it leaves before its end is recorded, so that it can be whole before that.
    fn stays(&self) -> bool {
        false
    }
}

/// Lines into whatever takes bytes. `progress` is told what has been written each time that something was.
pub struct Writing<'a, W: Write> {
    lines: Lines,
    out: &'a mut W,
    held: Vec<u8>,
    progress: &'a mut dyn FnMut(&mut W, Written) -> io::Result<()>,
}

impl<'a, W: Write> Writing<'a, W> {
    /// Begins a file, or goes on with one.
    pub fn new(mut lines: Lines, out: &'a mut W, progress: &'a mut dyn FnMut(&mut W, Written) -> io::Result<()>) -> Self {
        let mut held = Vec::new();
        lines.begin(&mut held);
        Self { lines, out, held, progress }
    }

    /// Where they go.
    pub const fn out(&self) -> &W {
        self.out
    }

    /// The lines as far as they were made.
    pub const fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The lines, once the end has been written.
    pub fn into_lines(self) -> Lines {
        self.lines
    }
}

impl<W: Write> Take for Writing<'_, W> {
    fn take(&mut self, records: &[Record]) -> io::Result<u64> {
        if records.is_empty() {
            return Ok(0);
        }
        let before = self.lines.written();
        self.out.write_all(&self.held)?;
        if !self.held.is_empty() {
            (self.progress)(self.out, before)?;
        }
        self.held.clear();
        for (sequence, record) in records {
            if !self.lines.push(*sequence, record, &mut self.held) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the record {sequence} is not JSON")));
            }
        }
        Ok(self.lines.written().bytes - before.bytes)
    }

    fn told(&self) -> Vec<(&'static str, String)> {
        vec![("sha256", hex::encode(&self.lines.sha256()))]
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(&self.held)?;
        self.held = Vec::new();
        self.out.flush()?;
        (self.progress)(self.out, self.lines.written())
    }
}
