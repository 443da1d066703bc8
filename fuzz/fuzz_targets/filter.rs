//! A filter that parses is the same filter after printing, and its meaning agrees with its plan, its bytes and its bounds.
//! The input is a filter, a zero byte, and an entry.
#![no_main]

use indelible_core::filter::{Filter, Plan, Term, terms, terms_of_bytes};
use indelible_core::json;
use indelible_core::limits::FILTER_BYTES_MAX;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let Some(Ok(text)) = parts.next().map(std::str::from_utf8) else { return };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(error.at <= text.len());
            return;
        }
    };
    let normalised = filter.normalised();
    if normalised.len() <= FILTER_BYTES_MAX {
        let again = Filter::parse(&normalised).expect("what was printed parses");
        assert_eq!(again.normalised(), normalised);
        assert_eq!(again, filter);
    }
    // Entries are canonical, so what is read is written again before it is held against the filter.
    let Some(Ok(value)) = parts.next().map(json::parse) else { return };
    let bytes = value.to_canonical();
    let Ok(entry) = json::parse(&bytes) else { return };
    let (mut held, mut scanned) = (Vec::new(), Vec::new());
    let term = |attribute: &str, value: &str| Term { attribute: attribute.to_owned(), value: value.to_owned() };
    terms(&entry, &mut |attribute, value| held.push(term(attribute, value)));
    if entry.as_object().is_some() {
        assert!(terms_of_bytes(&bytes, &mut |attribute, value| scanned.push(term(attribute, value))));
        assert_eq!(scanned, held, "the two ways to the terms differ");
    }
    if !filter.matches(&entry) {
        return;
    }
    assert!(satisfied(&filter.plan(), &held), "a match that the index would not have found");
    if let Some(needle) = filter.necessary_bytes() {
        assert!(bytes.windows(needle.len()).any(|window| window == needle), "a match without its necessary bytes");
    }
});

fn satisfied(plan: &Plan, held: &[Term]) -> bool {
    match plan {
        Plan::All => true,
        Plan::Term(term) => held.contains(term),
        Plan::And(parts) => parts.iter().all(|part| satisfied(part, held)),
        Plan::Or(parts) => parts.iter().any(|part| satisfied(part, held)),
    }
}
