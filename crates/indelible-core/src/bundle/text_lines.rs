//! Lines out of pieces: holds one line at most, and refuses longer ones.

use crate::limits::BUNDLE_LINE_BYTES_MAX;

/// What a file of lines may have wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFault {
    /// A line is longer than [`BUNDLE_LINE_BYTES_MAX`]; it is not handed on.
    TooLong,
    /// The last line has no newline.
    Unterminated,
}

/// The line that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct TextLines {
    held: Vec<u8>,
    too_long: bool,
}

impl TextLines {
    /// Takes a piece and hands on each line that it ends, without its newline.
    pub(super) fn push(&mut self, mut piece: &[u8], mut line: impl FnMut(Result<&[u8], LineFault>)) {
        while let Some(at) = memchr::memchr(b'\n', piece) {
            self.hold(&piece[..at]);
            line(if self.too_long { Err(LineFault::TooLong) } else { Ok(&self.held) });
            self.held.clear();
            self.too_long = false;
            piece = &piece[at + 1..];
        }
        self.hold(piece);
    }

    fn hold(&mut self, piece: &[u8]) {
        if self.held.len() + piece.len() > BUNDLE_LINE_BYTES_MAX {
            self.too_long = true;
        } else {
            self.held.extend_from_slice(piece);
        }
    }

    /// At the end of the file; a line without a newline is handed on as well.
    pub(super) fn finish(&mut self, mut line: impl FnMut(Result<&[u8], LineFault>)) -> Result<(), LineFault> {
        if self.held.is_empty() && !self.too_long {
            return Ok(());
        }
        line(if self.too_long { Err(LineFault::TooLong) } else { Ok(&self.held) });
        *self = Self::default();
        Err(LineFault::Unterminated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_pieces_are_cut() {
        let long = "x".repeat(BUNDLE_LINE_BYTES_MAX);
        let text = format!("a\n\n{long}\n{long}y\nb\n");
        let expected = ["a".to_owned(), String::new(), long.clone(), "TooLong".to_owned(), "b".to_owned()];
        for size in [1, 2, 7, 65_535, text.len()] {
            let (mut lines, mut seen) = (TextLines::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                lines.push(piece, |line| {
                    seen.push(line.map_or_else(|fault| format!("{fault:?}"), |line| String::from_utf8_lossy(line).into_owned()));
                });
            }
            assert!(seen == expected, "pieces of {size}");
            assert_eq!(lines.finish(|_| unreachable!("no rest")), Ok(()));
        }
        for (rest, expected) in [("z", Ok(1)), (&format!("{long}y"), Err(LineFault::TooLong))] {
            let (mut lines, mut seen) = (TextLines::default(), Vec::new());
            lines.push(rest.as_bytes(), |_| unreachable!("no newline"));
            assert_eq!(lines.finish(|line| seen.push(line.map(<[u8]>::len))), Err(LineFault::Unterminated));
            assert_eq!(seen, [expected]);
            assert_eq!(lines.finish(|_| unreachable!("no rest")), Ok(()));
        }
    }
}
