//! Opening what is to be imported: a file, or standard input, plain or compressed.
//!
//! gzip and zstd are told by their first bytes, not by the name of the file. Standard input is copied to an unnamed temporary file
//! first, since a file is read twice where it must go in whole.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

/// zstd windows up to 128 MiB are taken: `zstd --long` makes them.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Something that can be read from the beginning as often as needed.
pub struct Input {
    /// What messages call it.
    pub name: String,
    source: Source,
    /// Bytes as stored.
    pub bytes: u64,
}

enum Source {
    File(File),
    Memory(&'static [u8]),
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            let mut file = tempfile::tempfile()?;
            let bytes = io::copy(&mut io::stdin().lock(), &mut file)?;
            return Ok(Self { name: "standard input".to_owned(), source: Source::File(file), bytes });
        }
        let file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder: name the files in it"));
        }
        if !about.is_file() {
            // A pipe cannot be read twice either.
            let mut spooled = tempfile::tempfile()?;
            let bytes = io::copy(&mut &file, &mut spooled)?;
            return Ok(Self { name: path.display().to_string(), source: Source::File(spooled), bytes });
        }
        Ok(Self { name: path.display().to_string(), source: Source::File(file), bytes: about.len() })
    }

    /// What the program brings with it.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> Self {
        Self { name: name.to_owned(), source: Source::Memory(bytes), bytes: bytes.len() as u64 }
    }

    /// Its uncompressed bytes from the beginning. Bytes taken from the store are counted into `progress`.
    pub fn read(&self, progress: &Arc<AtomicU64>) -> io::Result<Box<dyn Read + Send + '_>> {
        let raw: Box<dyn Read + Send + '_> = match &self.source {
            Source::File(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(0))?;
                Box::new(file)
            }
            Source::Memory(bytes) => Box::new(*bytes),
        };
        let mut counted = Counted { inner: raw, progress: Arc::clone(progress) };
        let mut head = Vec::with_capacity(ZSTD.len());
        (&mut counted).take(ZSTD.len() as u64).read_to_end(&mut head)?;
        let is_gzip = head.starts_with(&GZIP);
        let is_zstd = head.starts_with(&ZSTD);
        let whole: BufReader<Chain<Cursor<Vec<u8>>, _>> = BufReader::with_capacity(64 * 1024, Cursor::new(head).chain(counted));
        if is_gzip {
            return Ok(Box::new(MultiGzDecoder::new(whole)));
        }
        if is_zstd {
            let mut decoder = ZstdDecoder::with_buffer(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            return Ok(Box::new(decoder));
        }
        Ok(Box::new(whole))
    }
}

struct Counted<R> {
    inner: R,
    progress: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.progress.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn compression_is_told_by_the_bytes_and_reading_again_begins_anew() {
        let text = b"{\"a\":1}\n".repeat(1_000);
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory does not fail");
            encoder.finish().expect("memory does not fail")
        };
        let two_members = [gzip(&text[..16]), gzip(&text[16..])].concat();
        let zstd = zstd::encode_all(&text[..], 3).expect("compresses");
        for stored in [text.clone(), gzip(&text), two_members, zstd, Vec::new(), b"{".to_vec()] {
            let expected = if stored.len() > 16 { text.clone() } else { stored.clone() };
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("file.txt");
            std::fs::write(&path, &stored).expect("written");
            let input = Input::open(&path).expect("opens");
            for _ in 0..2 {
                let progress = Arc::new(AtomicU64::new(0));
                let mut out = Vec::new();
                input.read(&progress).expect("opens").read_to_end(&mut out).expect("reads");
                assert_eq!(out, expected);
                assert_eq!(progress.load(Ordering::Relaxed), input.bytes);
            }
        }
    }

    #[test]
    fn folders_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Input::open(folder.path()).is_err());
        assert!(Input::open(&folder.path().join("none")).is_err());
    }
}
