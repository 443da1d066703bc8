//! Whatever is taken as a record is one line of JSON in every form, with its id, and is framed for every destination; what is not is refused by all alike.

#![no_main]

use indelible_core::fault::FaultKind;
use indelible_core::form::{Format, Origin, write};
use indelible_core::frame::{Destination, Unframed, frame, hec_answer, otlp_answer};
use indelible_core::json::parse;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const DESTINATIONS: [Destination; 5] =
    [Destination::Webhook, Destination::SplunkHec, Destination::Otlp, Destination::Syslog, Destination::File];

fuzz_target!(|record: &[u8]| {
    hec_answer(200, record);
    otlp_answer(200, record);
    let origin = Origin { instance: "log.example/fuzz" };
    for format in Format::ALL {
        let mut out = Vec::new();
        let written = write(format, record, &origin, &mut out);
        let framed = DESTINATIONS.map(|destination| frame(destination, format, true, &origin, &[record]));
        if let Err(fault) = written {
            assert!(out.is_empty());
            assert!(framed.iter().all(|framed| *framed == Err(Unframed::Record { at: 0, fault: fault.clone() })));
            continue;
        }
        assert!(framed.iter().all(Result::is_ok));
        assert!(out.iter().all(|byte| *byte >= b' '));
        // Our own reader says what is JSON: serde_json refuses numbers that it cannot hold. A form is a level deeper than its record, which may be one too many.
        let fault = parse(&out).err();
        assert!(fault.is_none_or(|fault| fault.kind == FaultKind::TooLarge));
        let (Ok(form), Ok(record)) = (serde_json::from_slice::<Value>(&out), serde_json::from_slice::<Value>(record)) else { continue };
        let id = match format {
            Format::Native | Format::Cloudevents => &form["id"],
            Format::Ocsf => &form["metadata"]["uid"],
            Format::Ecs => &form["event"]["id"],
        };
        assert_eq!(*id, record["id"]);
    }
});
