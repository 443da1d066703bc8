//! The outline, a scan, says of canonical JSON what the parser says of it; of anything else it may say what it
//! likes, without a panic.

#![no_main]

use indelible_core::entry::Outline;
use indelible_core::hex;
use indelible_core::json::{Value, parse};
use indelible_core::time::Timestamp;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fn by_tree(value: &Value<'_>) -> Option<Outline> {
    let uuid = |name: &str| {
        let text = value.get(name)?.as_str()?;
        Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text)
    };
    let number = |value: &Value<'_>, name: &str| match value.get(name)? {
        Value::Number(text) if !text.starts_with('-') => text.parse::<u64>().ok(),
        _ => None,
    };
    let time = |name: &str| Timestamp::parse(value.get(name)?.as_str()?);
    let sealed = match value.get("sealed") {
        None => None,
        Some(sealed) => Some((hex::decode_array(sealed.get("sha256")?.as_str()?)?, number(sealed, "bytes")?)),
    };
    Some(Outline {
        project_id: uuid("project_id")?,
        organization_id: uuid("organization_id")?,
        id: uuid("id")?,
        sequence: number(value, "sequence")?,
        hmac_key_id: number(value, "hmac_key_id")?,
        occurred_at: time("occurred_at")?,
        recorded_at: time("recorded_at")?,
        sealed,
    })
}

fuzz_target!(|entry: &[u8]| {
    let outline = Outline::read(entry);
    if let Ok(value) = parse(entry)
        && value.to_canonical() == entry
    {
        assert_eq!(outline, by_tree(&value));
    }
});
