//! The tar of a bundle (POSIX.1-2017, pax): headers for who writes one, and a verifier for who reads one in pieces.
//!
//! Written: regular files, with a pax `size` where the octal field of 8 GiB is too small, and nothing of the machine: no time,
//! no owner. Read: the same, whatever time and owner are there. A link or a folder, a header whose checksum does not hold,
//! bytes where zeros belong, or no end is a finding of [`super::BundleVerifier`]; memory is one block beside what that holds.

use super::{BundleReport, BundleVerifier, FileName, Trust};
use crate::lines::decimal;

/// Everything in a tar begins at a multiple of this, bytes.
pub const BLOCK_BYTES: usize = 512;
/// What stands after the last file.
pub const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// Largest size that 11 octal digits hold.
const OCTAL_MAX: u64 = (1 << 33) - 1;
/// Extended headers, bytes.
const PAX_BYTES_MAX: u64 = 64 * 1024;
/// Where the checksum of a header is.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// The header of a file: one block, or three where it has more than 8 GiB.
pub fn header(file: FileName, bytes: u64) -> Vec<u8> {
    let name = file.to_string();
    if bytes <= OCTAL_MAX {
        return block(&name, bytes, b'0').to_vec();
    }
    let record = pax_record("size", &bytes.to_string());
    let mut out = block("pax-header", record.len() as u64, b'x').to_vec();
    out.extend_from_slice(record.as_bytes());
    out.resize(2 * BLOCK_BYTES, 0);
    out.extend_from_slice(&block(&name, OCTAL_MAX, b'0'));
    out
}

/// Zeros after the bytes of a file.
pub const fn padding(bytes: u64) -> usize {
    ((BLOCK_BYTES as u64 - bytes % BLOCK_BYTES as u64) % BLOCK_BYTES as u64) as usize
}

/// What a file takes in the tar, bytes: header, itself and padding.
pub fn bytes_of(bytes: u64) -> u64 {
    let blocks = if bytes <= OCTAL_MAX { 1 } else { 3 };
    blocks * BLOCK_BYTES as u64 + bytes + padding(bytes) as u64
}

fn block(name: &str, bytes: u64, sort: u8) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{bytes:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, &[sort]);
    put(257, b"ustar\x0000");
    let sum = checksum(&block);
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The sum of the bytes, as if the checksum were spaces.
fn checksum(block: &[u8; BLOCK_BYTES]) -> u64 {
    let all: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = block[CHECKSUM].iter().map(|byte| u64::from(*byte)).sum();
    all - own + 8 * u64::from(b' ')
}

/// `<length of the record> <name>=<value>` and a newline.
fn pax_record(name: &str, value: &str) -> String {
    let rest = format!(" {name}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length += 1;
    }
    format!("{length}{rest}")
}

/// What comes next.
#[derive(Debug)]
enum Next {
    Header,
    Pax {
        left: u64,
    },
    Data {
        left: u64,
        padding: u64,
    },
    /// Zeros after a file.
    Padding {
        left: u64,
    },
    /// One block of zeros came.
    End,
    /// Two came: nothing follows but zeros.
    Over,
    /// What this is cannot be told.
    Lost,
}

/// What a header says.
struct Header {
    name: String,
    bytes: u64,
    sort: u8,
}

/// Verifies a bundle as its tar is read.
pub struct TarVerifier {
    verifier: BundleVerifier,
    next: Next,
    block: Vec<u8>,
    /// The extended header that is being read, or that the next file has.
    pax: Vec<u8>,
    junk: bool,
}

impl TarVerifier {
    /// A verifier that believes `trust`.
    pub fn new(trust: Trust) -> Self {
        Self {
            verifier: BundleVerifier::new(trust),
            next: Next::Header,
            block: Vec::with_capacity(BLOCK_BYTES),
            pax: Vec::new(),
            junk: false,
        }
    }

    /// The next bytes of the tar.
    pub fn piece(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let taken = match self.next {
                Next::Header | Next::End => self.take_block(piece),
                Next::Pax { left } => self.take_pax(piece, left),
                Next::Data { left, padding } => self.take_data(piece, left, padding),
                Next::Padding { left } => self.take_padding(piece, left),
                Next::Over => {
                    self.take_zeros(piece);
                    piece.len()
                }
                Next::Lost => piece.len(),
            };
            piece = &piece[taken..];
        }
    }

    /// After the last byte.
    pub fn finish(mut self) -> BundleReport {
        match self.next {
            // Of a file that is cut off the verifier of files tells, and what is lost was told of.
            Next::Over | Next::Lost | Next::Data { .. } => {}
            Next::Header | Next::End | Next::Pax { .. } | Next::Padding { .. } => self.verifier.fault("the tar is cut off: it has no end"),
        }
        self.verifier.finish()
    }

    fn take_block(&mut self, piece: &[u8]) -> usize {
        let taken = piece.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&piece[..taken]);
        if let Ok(block) = <&[u8; BLOCK_BYTES]>::try_from(&self.block[..]) {
            let block = *block;
            self.block.clear();
            self.read_block(&block);
        }
        taken
    }

    fn read_block(&mut self, block: &[u8; BLOCK_BYTES]) {
        let zeros = block.iter().all(|byte| *byte == 0);
        self.next = match (&self.next, zeros) {
            (Next::End, true) => Next::Over,
            (Next::End, false) => {
                self.verifier.fault("the tar goes on after its end");
                Next::Lost
            }
            (_, true) => Next::End,
            (_, false) => self.begin(block),
        };
    }

    fn begin(&mut self, block: &[u8; BLOCK_BYTES]) -> Next {
        let Some(header) = read_header(block) else {
            self.verifier.fault("a header of the tar does not hold: what follows cannot be read");
            return Next::Lost;
        };
        let Header { mut name, mut bytes, sort } = header;
        match sort {
            b'x' if bytes <= PAX_BYTES_MAX && self.pax.is_empty() => return Next::Pax { left: bytes },
            b'0' | 0 => {
                let Some((path, size)) = read_pax(&std::mem::take(&mut self.pax)) else {
                    self.verifier.fault("an extended header of the tar does not hold: what follows cannot be read");
                    return Next::Lost;
                };
                (name, bytes) = (path.unwrap_or(name), size.unwrap_or(bytes));
                self.verifier.file(&name, bytes);
            }
            _ => self.verifier.fault(format!("{:?} is not a regular file", name.chars().take(100).collect::<String>())),
        }
        data(bytes, padding(bytes) as u64)
    }

    fn take_pax(&mut self, piece: &[u8], left: u64) -> usize {
        let taken = at_most(piece, left);
        self.pax.extend_from_slice(&piece[..taken]);
        let left = left - taken as u64;
        self.next = if left > 0 { Next::Pax { left } } else { zeros(padding(self.pax.len() as u64) as u64) };
        taken
    }

    fn take_data(&mut self, piece: &[u8], left: u64, padding: u64) -> usize {
        let taken = at_most(piece, left);
        self.verifier.piece(&piece[..taken]);
        self.next = data(left - taken as u64, padding);
        taken
    }

    fn take_padding(&mut self, piece: &[u8], left: u64) -> usize {
        let taken = at_most(piece, left);
        self.take_zeros(&piece[..taken]);
        self.next = zeros(left - taken as u64);
        taken
    }

    fn take_zeros(&mut self, piece: &[u8]) {
        if !self.junk && piece.iter().any(|byte| *byte != 0) {
            self.junk = true;
            self.verifier.fault("bytes in the tar that belong to no file");
        }
    }
}

const fn data(left: u64, padding: u64) -> Next {
    if left > 0 { Next::Data { left, padding } } else { zeros(padding) }
}

const fn zeros(left: u64) -> Next {
    if left > 0 { Next::Padding { left } } else { Next::Header }
}

fn at_most(piece: &[u8], left: u64) -> usize {
    piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))
}

/// `None` where the checksum does not hold, or a field is not of its form.
fn read_header(block: &[u8; BLOCK_BYTES]) -> Option<Header> {
    if octal(&block[CHECKSUM])? != checksum(block) || &block[257..262] != b"ustar" {
        return None;
    }
    let (name, prefix) = (text(&block[..100])?, text(&block[345..500])?);
    let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    Some(Header { name, bytes: octal(&block[124..136])?, sort: block[156] })
}

/// Octal digits, then spaces or NULs.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(field).ok()?.trim_start_matches(' ').trim_end_matches(['\0', ' ']);
    let good = !digits.is_empty() && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    if good { u64::from_str_radix(digits, 8).ok() } else { None }
}

/// What stands before the first NUL.
fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field.split(|byte| *byte == 0).next()?).ok()
}

/// `path` and `size` of an extended header; other records do not matter here.
fn read_pax(mut records: &[u8]) -> Option<(Option<String>, Option<u64>)> {
    let (mut path, mut size) = (None, None);
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ')?;
        let length = usize::try_from(decimal(std::str::from_utf8(&records[..space]).ok()?)?).ok()?;
        let (record, rest) = records.split_at_checked(length)?;
        let (name, value) = std::str::from_utf8(record.get(space + 1..)?.strip_suffix(b"\n")?).ok()?.split_once('=')?;
        match name {
            "path" => path = Some(value.to_owned()),
            "size" => size = Some(decimal(value)?),
            _ => {}
        }
        records = rest;
    }
    Some((path, size))
}
