//! Content codings (RFC 9110, section 8.4.1): identity, gzip and zstd, undone as the bytes come.
//!
//! A bomb is stopped where it would pass a limit: what comes out is counted, and paid for from the memory of all bodies,
//! as it comes out.

use std::io::{self, Write};
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use flate2::write::MultiGzDecoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zstd::stream::raw;
use zstd::stream::write::Decoder as ZstdDecoder;
use zstd::zstd_safe::DParameter;

use super::app::BODY_UNIT_BYTES;
use super::problem::{Kind, Problem};

/// Largest zstd window that is taken, as a power of two: 8 MiB, which is what the levels up to 19 use (RFC 8878, section 3.1.1.1.2).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Memory is taken in steps of this many units.
const STEP_UNITS: usize = 64;

/// Why a sink takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// The request is larger than its limit.
    Limit,
    /// The memory of all bodies is used up.
    Memory,
}

/// Where decoded bytes come to lie.
struct Sink {
    bytes: Vec<u8>,
    total: usize,
    bytes_max: usize,
    held: usize,
    memory: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    full: Option<Full>,
}

impl Sink {
    /// Pays for `total` bytes; they stay paid for until the sink goes, taken out or not: what was made of them is still there.
    fn pay(&mut self, total: usize) -> Result<(), Full> {
        if total > self.bytes_max {
            return Err(Full::Limit);
        }
        let needed = total.div_ceil(BODY_UNIT_BYTES);
        if needed > self.held {
            let step = (needed - self.held).max(if self.held == 0 { 4 } else { STEP_UNITS });
            let more = Arc::clone(&self.memory).try_acquire_many_owned(step as u32).map_err(|_| Full::Memory)?;
            self.held += step;
            match &mut self.permit {
                Some(permit) => permit.merge(more),
                none => *none = Some(more),
            }
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(full) = self.pay(self.total + bytes.len()) {
            self.full = Some(full);
            return Err(io::Error::other("full"));
        }
        self.total += bytes.len();
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Coding {
    Identity(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zstd(Box<ZstdDecoder<'static, Sink>>),
}

/// Undoes the content coding of one body.
pub(super) struct Decoder {
    coding: Coding,
}

impl Decoder {
    /// A decoder for the coding that `headers` name, of at most `bytes_max` bytes as sent and as decoded.
    pub(super) fn new(headers: &HeaderMap, bytes_max: usize, memory: &Arc<Semaphore>) -> Result<Self, Problem> {
        let sink = Sink { bytes: Vec::new(), total: 0, bytes_max, held: 0, memory: Arc::clone(memory), permit: None, full: None };
        let unsupported = || Problem::new(Kind::UnsupportedEncoding, "Content-Encoding may be gzip, zstd or identity, once");
        let mut names = headers.get_all(CONTENT_ENCODING).iter();
        let name = names.next().map_or(Ok("identity"), |name| name.to_str().map_err(|_| unsupported()))?;
        if names.next().is_some() {
            return Err(unsupported());
        }
        let coding = match name.trim().to_ascii_lowercase().as_str() {
            "identity" | "" => Coding::Identity(sink),
            "gzip" | "x-gzip" => Coding::Gzip(Box::new(MultiGzDecoder::new(sink))),
            "zstd" => {
                let mut raw = raw::Decoder::new().map_err(|_| Problem::new(Kind::Internal, "no zstd decoder"))?;
                raw.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                    .map_err(|_| Problem::new(Kind::Internal, "no zstd decoder"))?;
                Coding::Zstd(Box::new(ZstdDecoder::with_decoder(sink, raw)))
            }
            _ => return Err(unsupported()),
        };
        Ok(Self { coding })
    }

    /// Takes bytes as they were sent.
    pub(super) fn write(&mut self, sent: &[u8]) -> Result<(), Problem> {
        let result = match &mut self.coding {
            Coding::Identity(sink) => sink.write_all(sent),
            Coding::Gzip(decoder) => decoder.write_all(sent),
            Coding::Zstd(decoder) => decoder.write_all(sent),
        };
        result.map_err(|_| self.wrong())
    }

    /// Says that no more comes; what ends in the middle is refused.
    pub(super) fn finish(&mut self) -> Result<(), Problem> {
        let result = match &mut self.coding {
            Coding::Identity(_) => Ok(()),
            Coding::Gzip(decoder) => decoder.try_finish(),
            Coding::Zstd(decoder) => decoder.do_finish(),
        };
        result.map_err(|_| self.wrong())
    }

    /// What was decoded and not taken yet.
    pub(super) fn decoded(&mut self) -> &mut Vec<u8> {
        let sink = match &mut self.coding {
            Coding::Identity(sink) => sink,
            Coding::Gzip(decoder) => decoder.get_mut(),
            Coding::Zstd(decoder) => decoder.get_mut(),
        };
        &mut sink.bytes
    }

    fn wrong(&self) -> Problem {
        let sink = match &self.coding {
            Coding::Identity(sink) => sink,
            Coding::Gzip(decoder) => decoder.get_ref(),
            Coding::Zstd(decoder) => decoder.get_ref(),
        };
        match sink.full {
            Some(Full::Limit) => too_large(sink.bytes_max),
            Some(Full::Memory) => Problem::new(Kind::Unavailable, "too many large requests at once"),
            None => Problem::new(Kind::MalformedBody, "the body does not decompress"),
        }
    }
}

/// The refusal of a request of more than `bytes_max` bytes.
pub(super) fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Kind::RequestTooLarge, format!("a request here has at most {bytes_max} bytes, as sent and after decompression"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn decode(coding: &'static str, sent: &[u8], piece: usize, bytes_max: usize, units: usize) -> Result<Vec<u8>, Kind> {
        let memory = Arc::new(Semaphore::new(units));
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding))]);
        let mut decoder = Decoder::new(&headers, bytes_max, &memory).map_err(|problem| problem.kind)?;
        for piece in sent.chunks(piece) {
            decoder.write(piece).map_err(|problem| problem.kind)?;
        }
        decoder.finish().map_err(|problem| problem.kind)?;
        let plain = std::mem::take(decoder.decoded());
        drop(decoder);
        assert_eq!(memory.available_permits(), units);
        Ok(plain)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn every_coding_is_undone_in_any_pieces_and_a_damaged_one_is_refused() {
        let plain: Vec<u8> = (0..100_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let codings = [("identity", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd::encode_all(&plain[..], 3).expect("memory"))];
        for (coding, sent) in &codings {
            for piece in [1, 1_000, usize::MAX] {
                assert_eq!(decode(coding, sent, piece, plain.len(), 4_096).as_deref(), Ok(&plain[..]), "{coding}");
            }
            assert_eq!(decode(coding, sent, 1_000, plain.len() - 1, 4_096), Err(Kind::RequestTooLarge), "{coding}");
            assert_eq!(decode(coding, sent, 1_000, plain.len(), 100), Err(Kind::Unavailable), "{coding}");
            if *coding != "identity" {
                assert_eq!(decode(coding, &sent[..sent.len() - 5], 1_000, plain.len(), 4_096), Err(Kind::MalformedBody), "{coding} cut");
                assert_eq!(decode(coding, b"not compressed", 1_000, plain.len(), 4_096), Err(Kind::MalformedBody), "{coding}");
            }
        }
        assert_eq!(decode("br", b"", 1, 1, 1), Err(Kind::UnsupportedEncoding));
        assert_eq!(decode("gzip, gzip", b"", 1, 1, 1), Err(Kind::UnsupportedEncoding));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = vec![0_u8; 200 * 1024 * 1024];
        for (coding, sent) in [("gzip", gzip(&bomb)), ("zstd", zstd::encode_all(&bomb[..], 19).expect("memory"))] {
            assert_eq!(decode(coding, &sent, 16 * 1024, 1024 * 1024, 4_096), Err(Kind::RequestTooLarge), "{coding}");
        }
    }
}
