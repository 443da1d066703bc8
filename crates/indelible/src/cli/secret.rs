//! What is shown once: a credential goes to a new file that its owner alone can read, or where the rest of the answer goes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

/// A new private file, made before there is anything to write: a credential that could not be written down would be lost.
pub(super) struct Safe {
    file: File,
    path: PathBuf,
}

impl Safe {
    /// Makes it (mode 0600); refuses one that is there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        Ok(Self { file: file.with_context(|| format!("cannot make {}", path.display()))?, path: path.to_owned() })
    }

    /// Makes the one that is asked for.
    pub(super) fn maybe(path: Option<&PathBuf>) -> anyhow::Result<Option<Self>> {
        path.map(|path| Self::open(path)).transpose()
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, durable before this returns.
    pub(super) fn keep(mut self, line: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n")).and_then(|()| self.file.sync_all());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Takes a member out of an answer and puts it into the file, where there is one.
pub(super) fn put_away(answer: &mut Value, member: &str, safe: Option<Safe>) -> anyhow::Result<()> {
    let Some(safe) = safe else { return Ok(()) };
    let secret = answer.as_object_mut().and_then(|members| members.remove(member));
    let secret = secret.as_ref().and_then(Value::as_str).context("the answer holds no credential")?;
    safe.keep(secret.as_bytes())
}
