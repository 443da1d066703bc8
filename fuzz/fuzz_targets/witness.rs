//! What is read as a request to a witness is printed byte for byte as it was, and is never cosigned without a key of the log.

#![no_main]

use indelible_core::witness::{AddCheckpoint, Answer, LastCosigned};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = AddCheckpoint::parse(bytes) else { return };
    assert_eq!(request.to_string().as_bytes(), bytes);
    let last = LastCosigned { size: request.checkpoint().size, root: request.checkpoint().root };
    assert_eq!(request.decide(None, Some(&last)), Answer::UnknownLog);
    assert_eq!(request.decide(Some(&[]), Some(&last)), Answer::Unsigned);
});
