"""Makes seal.json, and opens what the Rust code sealed (given as `ours`: lines of JSON on standard input).

Needs cryptography and zstandard. Written from formats.md (Content and personal) and RFC 3394 alone.
"""
import hashlib, json, sys, uuid
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap


def additional_data(record):
    ids = (record["organization_id"], record["project_id"], record["event_id"])
    return b"\x01" + b"".join(uuid.UUID(i).bytes for i in ids)


def seal(text, key, organization, project, event):
    record = {"organization_id": organization, "project_id": project, "event_id": event}
    compressed = zstandard.ZstdCompressor(level=3).compress(text.encode())
    stored = b"\x01" + AESGCM(key).encrypt(bytes(12), compressed, additional_data(record))
    return record | {"content_key": key.hex(), "json": text, "stored": stored.hex(), "sha256": hashlib.sha256(stored).hexdigest()}


def opened(record):
    stored = bytes.fromhex(record["stored"])
    plain = AESGCM(bytes.fromhex(record["content_key"])).decrypt(bytes(12), stored[1:], additional_data(record))
    assert stored[0] == 1 and zstandard.ZstdDecompressor().decompress(plain).decode() == record["json"]
    return record


def wrap(source, kek, key):
    wrapped = aes_key_wrap(kek, key)
    assert aes_key_unwrap(kek, wrapped) == key
    return {"source": source, "kek": kek.hex(), "key": key.hex(), "wrapped": wrapped.hex()}


rfc = wrap("RFC 3394, section 4.6", bytes(range(32)), bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"))
assert rfc["wrapped"] == "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
ids = ("018f4b2a-0000-7000-8000-00000000000a", "018f4b2a-0000-7000-8000-000000000001", "018f4b2a-7a11-7000-8000-0000000000ff")
print(json.dumps({
    "wraps": [rfc, wrap("Python cryptography", b"\xa5" * 32, hashlib.sha256(b"content key").digest())],
    "sealed": [
        seal('{"after_state":{"limit":3},"before_state":{"limit":2}}', bytes(range(32)), *ids),
        seal('{"output":"' + "Grüße \U0001f512 " * 100 + '"}', b"\x07" * 32, str(uuid.UUID(int=0)), ids[1], ids[2]),
        seal("{}", b"\xff" * 32, *ids),
    ],
    "ours": [opened(json.loads(line)) for line in sys.stdin if line.strip()],
}, indent=1, ensure_ascii=False))
