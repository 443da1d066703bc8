//! Golden vectors of RFC 3394 and of an independent implementation, and what must not open.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::hex;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../testdata/seal.json")).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hex")
}

fn secret(value: &Value) -> Secret {
    Secret::new(bytes(value).try_into().expect("32 bytes"))
}

fn address(value: &Value) -> Address {
    let id = |name: &str| Uuid::parse_str(value[name].as_str().expect("a string")).expect("a UUID");
    Address { organization_id: id("organization_id"), project_id: id("project_id"), event_id: id("event_id") }
}

const HERE: Address = Address { organization_id: Uuid::from_u128(1), project_id: Uuid::from_u128(2), event_id: Uuid::from_u128(3) };

fn key(n: u8) -> Secret {
    Secret::new([n; 32])
}

/// Seals bytes as they are, where the test wants a frame that [`Sealer`] would not make.
fn encrypt(compressed: &[u8], address: &Address, content_key: &Secret) -> Vec<u8> {
    let mut stored = compressed.to_vec();
    aes_gcm(content_key).seal_in_place_append_tag(nonce(), address.additional_data(), &mut stored).expect("seals");
    stored.insert(0, FORMAT);
    stored
}

#[test]
fn wraps_as_rfc_3394_and_python_do() {
    for wrap in vectors()["wraps"].as_array().expect("wraps") {
        let (kek, plain, wrapped) = (secret(&wrap["kek"]), secret(&wrap["key"]), bytes(&wrap["wrapped"]));
        assert_eq!(wrap_key(&kek, &plain).to_vec(), wrapped, "{}", wrap["source"]);
        assert_eq!(unwrap_key(&kek, &wrapped), Some(plain));
    }
}

#[test]
fn opens_what_python_sealed() {
    for sealed in vectors()["sealed"].as_array().expect("sealed") {
        let stored = bytes(&sealed["stored"]);
        let json = open(&stored, &address(sealed), &secret(&sealed["content_key"])).expect("opens");
        assert_eq!(String::from_utf8(json).expect("UTF-8"), sealed["json"].as_str().expect("a string"));
        let digest = crate::tree::array(&digest::digest(&digest::SHA256, &stored));
        assert_eq!(hex::encode(&digest), sealed["sha256"].as_str().expect("a string"));
    }
}

/// `seal_vectors.py` opened these bytes of ours when the vectors were made; we still make the same or can open them.
#[test]
fn opens_what_it_once_sealed() {
    for sealed in vectors()["ours"].as_array().expect("ours") {
        let json = open(&bytes(&sealed["stored"]), &address(sealed), &secret(&sealed["content_key"])).expect("opens");
        assert_eq!(String::from_utf8(json).expect("UTF-8"), sealed["json"].as_str().expect("a string"));
    }
}

#[test]
fn every_changed_byte_key_and_address_is_refused() {
    let sealed = Sealer::new().seal(br#"{"after_state":{"limit":3}}"#, &HERE, &key(9));
    for at in 0..sealed.stored.len() {
        let mut changed = sealed.stored.clone();
        changed[at] ^= 1;
        let expected = if at == 0 { OpenError::UnknownFormat(0) } else { OpenError::NotAuthentic };
        assert_eq!(open(&changed, &HERE, &key(9)), Err(expected), "byte {at}");
    }
    for cut in 0..sealed.stored.len() {
        assert_eq!(open(&sealed.stored[..cut], &HERE, &key(9)), Err(OpenError::NotAuthentic), "cut to {cut}");
    }
    let other = Uuid::from_u128(4);
    let elsewhere = [
        Address { organization_id: other, ..HERE },
        Address { project_id: other, ..HERE },
        Address { event_id: other, ..HERE },
        Address { organization_id: HERE.project_id, project_id: HERE.organization_id, ..HERE },
    ];
    for address in elsewhere {
        assert_eq!(open(&sealed.stored, &address, &key(9)), Err(OpenError::NotAuthentic), "{address:?}");
    }
    assert_eq!(open(&sealed.stored, &HERE, &key(8)), Err(OpenError::NotAuthentic));
}

#[test]
fn every_changed_byte_and_length_of_a_wrap_is_refused() {
    let wrapped = wrap_key(&key(1), &key(2));
    for at in 0..wrapped.len() {
        let mut changed = wrapped;
        changed[at] ^= 0x80;
        assert_eq!(unwrap_key(&key(1), &changed), None, "byte {at}");
    }
    for bad in [&wrapped[..0], &wrapped[..8], &wrapped[..39], &[wrapped.as_slice(), &[0]].concat(), &[0; 48]] {
        assert_eq!(unwrap_key(&key(1), bad), None, "{} bytes", bad.len());
    }
    assert_eq!(unwrap_key(&key(3), &wrapped), None);
}

#[test]
fn decompression_is_bounded() {
    let mut sealer = Sealer::new();
    let largest = vec![b' '; CONTENT_PLAIN_BYTES_MAX];
    let big = sealer.seal(&largest, &HERE, &key(1));
    assert!(big.stored.len() < 10_000, "{}", big.stored.len());
    assert_eq!(open(&big.stored, &HERE, &key(1)).expect("opens").len(), largest.len());
    let small = sealer.seal(b"{}", &HERE, &key(1));
    assert_eq!(open(&small.stored, &HERE, &key(1)), Ok(b"{}".to_vec()), "a large record leaves nothing behind");

    let too_large = vec![0; CONTENT_PLAIN_BYTES_MAX + 1];
    let with_size = zstd::bulk::compress(&too_large, 1).expect("compresses");
    let without_size = zstd::stream::encode_all(std::io::Cursor::new(&too_large), 1).expect("compresses");
    let two_frames = [zstd::bulk::compress(&largest, 1).expect("compresses"), zstd::bulk::compress(b"x", 1).expect("compresses")].concat();
    for bomb in [with_size, without_size, two_frames, b"not zstd".to_vec()] {
        assert_eq!(open(&encrypt(&bomb, &HERE, &key(1)), &HERE, &key(1)), Err(OpenError::Corrupt));
    }
}

#[test]
fn what_authenticates_is_what_opens() {
    let sealed = Sealer::new().seal(br#"{"output":"said"}"#, &HERE, &key(1)).stored;
    let mut buffer = Vec::new();
    assert!(authenticates(&sealed, &HERE, &key(1), &mut buffer));
    assert!(buffer.iter().all(|byte| *byte == 0), "nothing of the content is left");
    assert!(!authenticates(&sealed, &HERE, &key(2), &mut buffer));
    assert!(!authenticates(&sealed, &Address { event_id: Uuid::nil(), ..HERE }, &key(1), &mut buffer));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(!authenticates(&changed, &HERE, &key(1), &mut buffer), "byte {at}");
        assert!(!authenticates(&sealed[..at], &HERE, &key(1), &mut buffer), "{at} bytes");
    }
    assert!(authenticates(&sealed, &HERE, &key(1), &mut buffer), "what failed leaves nothing behind");
    let large = encrypt(&vec![7; 1 << 20], &HERE, &key(1));
    assert!(authenticates(&large, &HERE, &key(1), &mut buffer) && buffer.capacity() == 0, "a large buffer is given back");
}

#[test]
fn a_secret_opens_for_what_it_was_sealed_and_for_nothing_else() {
    let sealed = seal_secret(b"whsec_x", b"a", &key(1));
    assert_eq!(open_secret(&sealed, b"a", &key(1)), Ok(b"whsec_x".to_vec()));
    assert_eq!(open_secret(&sealed, b"b", &key(1)), Err(OpenError::NotAuthentic));
    assert_eq!(open_secret(&sealed, b"a", &key(2)), Err(OpenError::NotAuthentic));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open_secret(&changed, b"a", &key(1)).is_err() && open_secret(&sealed[..at], b"a", &key(1)).is_err(), "{at}");
    }
}

proptest! {
    #[test]
    fn open_undoes_seal(json in proptest::collection::vec(any::<u8>(), 0..3_000), content_key: [u8; 32], event: u128) {
        let address = Address { event_id: Uuid::from_u128(event), ..HERE };
        let mut sealer = Sealer::new();
        let first = sealer.seal(&json, &address, &Secret::new(content_key));
        let again = sealer.seal(&json, &address, &Secret::new(content_key));
        prop_assert_eq!(&first, &again);
        prop_assert_eq!(first.plain_bytes, json.len() as u64);
        prop_assert_eq!(open(&first.stored, &address, &Secret::new(content_key)), Ok(json));
    }
}
