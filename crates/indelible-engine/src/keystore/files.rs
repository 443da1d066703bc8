//! Reading key files: only such as nobody else can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use indelible_core::hex;
use indelible_core::key::Secret;

use super::KeyError;

/// A key file is never longer, bytes.
const FILE_BYTES_MAX: u64 = 4_096;
/// Opens the text of a master key that was generated, so that it is known wherever it is moved.
const GENERATED: &str = "generated ";

/// A master key, and where it came from.
pub(super) struct Master {
    pub(super) key: Secret,
    /// Made by this program at a first start, not brought from outside.
    pub(super) generated: bool,
}

impl Master {
    /// Reads one: 64 hex digits, after `generated ` if this program made it.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_private(path)?;
        let line = text.trim_end();
        let (digits, generated) = line.strip_prefix(GENERATED).map_or((line, false), |digits| (digits, true));
        let key =
            hex::decode_array(digits).ok_or_else(|| KeyError::NotAKey(path.to_owned(), "a master key is 64 lower-case hex digits"))?;
        Ok(Self { key: Secret::new(key), generated })
    }

    /// The text that [`Self::read`] reads.
    pub(super) fn text(&self) -> String {
        format!("{}{}\n", if self.generated { GENERATED } else { "" }, hex::encode(self.key.bytes()))
    }
}

/// Reads a file that only its owner may read. Looks at the open file, not at its name, so that it cannot be
/// exchanged in between.
pub(crate) fn read_private(path: &Path) -> Result<String, KeyError> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound { KeyError::Missing(path.to_owned()) } else { KeyError::Io(path.to_owned(), error) }
    };
    let file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(KeyError::NotAKey(path.to_owned(), "it is not a file"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode: meta.mode() & 0o777 });
    }
    let mut text = String::new();
    match file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(read) if read as u64 <= FILE_BYTES_MAX => Ok(text),
        Ok(_) => Err(KeyError::NotAKey(path.to_owned(), "it is too long")),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(KeyError::NotAKey(path.to_owned(), "it is not text")),
        Err(error) => Err(KeyError::Io(path.to_owned(), error)),
    }
}
