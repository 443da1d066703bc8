//! Nothing but what was sealed opens: bytes made up never do, and a sealed record that was changed never does.

#![no_main]

use indelible_core::key::Secret;
use indelible_core::seal::{Address, Sealer, open, unwrap_key, wrap_key};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const ADDRESS: Address = Address { organization_id: Uuid::from_u128(1), project_id: Uuid::from_u128(2), event_id: Uuid::from_u128(3) };

fuzz_target!(|input: (&[u8], usize, u8)| {
    let (bytes, at, mask) = input;
    let key = Secret::new([7; 32]);
    assert!(open(bytes, &ADDRESS, &key).is_err());
    assert!(unwrap_key(&key, bytes).is_none());

    let mut stored = Sealer::new().seal(bytes, &ADDRESS, &key).stored;
    assert_eq!(open(&stored, &ADDRESS, &key).as_deref(), Ok(bytes));
    let at = at % stored.len();
    stored[at] ^= mask;
    assert_eq!(open(&stored, &ADDRESS, &key).is_ok(), mask == 0);

    let mut wrapped = wrap_key(&key, &Secret::new([8; 32]));
    wrapped[at % 40] ^= mask;
    assert_eq!(unwrap_key(&key, &wrapped).is_some(), mask == 0);
});
