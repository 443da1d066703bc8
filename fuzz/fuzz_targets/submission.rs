//! A submission that is accepted is the same submission when its canonical form is read; one that is refused names a
//! place by a well-formed JSON Pointer.

#![no_main]

use indelible_core::event::{Source, Submission};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(|text: &[u8]| {
    match Submission::parse(text, Source::Caller, Uuid::from_u128(1)) {
        Ok(submission) => {
            let again = Submission::parse(submission.canonical(), Source::Caller, Uuid::nil()).expect("canonical is accepted");
            assert_eq!(again.canonical(), submission.canonical());
            assert_eq!(again.envelope(), submission.envelope());
            assert_eq!(again.id(), submission.id());
            assert_eq!(again.occurred_at(), submission.occurred_at());
            assert!(Submission::parse(text, Source::Engine, Uuid::from_u128(1)).is_ok(), "the engine may say what a caller may");
        }
        Err(fault) => assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'), "{fault}"),
    }
});
