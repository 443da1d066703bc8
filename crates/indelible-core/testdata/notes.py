#!/usr/bin/env python3
"""Makes notes.json beside this file: keys, signed notes and cosignatures, from the text of the C2SP documents alone.

It needs Python 3 and the package `cryptography` for Ed25519, and reads no Rust.
"""
import base64, hashlib, json, pathlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HERE = pathlib.Path(__file__).parent
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
PKCS8 = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def b64(data):
    return base64.b64encode(data).decode()


class Key:
    def __init__(self, name, kind, seed):
        self.name, self.kind, self.seed = name, kind, seed
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes(*RAW)
        self.id = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + self.public).digest()[:4]

    def vkey(self):
        return f"{self.name}+{self.id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    def line(self, text, seconds=None):
        message, front = text.encode(), b""
        if self.kind == 4:
            message = f"cosignature/v1\ntime {seconds}\n".encode() + message
            front = seconds.to_bytes(8, "big")
        return f"— {self.name} {b64(self.id + front + self.private.sign(message))}\n"

    def shown(self):
        pkcs8 = self.private.private_bytes(*PKCS8)
        return {"name": self.name, "type": self.kind, "seed": self.seed.hex(), "pkcs8": pkcs8.hex(),
                "vkey": self.vkey(), "key_id": self.id.hex()}


def seed(n):
    return hashlib.sha256(b"indelible test seed %d" % n).digest()


PROJECT = "018f4b2a-0000-7000-8000-000000000001"
LOG = Key(f"audit.example/acme-0a1b2c3d/{PROJECT}", 1, seed(1))
LOG_NEW = Key(LOG.name, 1, seed(2))
WITNESS = Key("witness.example/one", 4, seed(3))
WITNESS_GREEK = Key("μάρτυς.example", 4, seed(4))

if __name__ == "__main__":
    texts = ["one line\n", "\n", "two\n\nparagraphs, Grüße \U0001f512\n", "ends in a blank line\n\n",
             "— looks like a signature AAAAAAA=\n",
             f"{LOG.name}\n0\n{b64(hashlib.sha256(b'').digest())}\n"]
    notes = []
    for n, text in enumerate(texts):
        signers = [(LOG, None), (LOG_NEW, None), (WITNESS, 1_700_000_000 + n), (WITNESS_GREEK, [0, 2**63 - 1][n % 2])][: 1 + n % 4]
        notes.append({"text": text, "signed_by": [{"vkey": key.vkey(), "seconds": time} for key, time in signers],
                      "note": text + "\n" + "".join(key.line(text, time) for key, time in signers)})
    out = {"keys": [key.shown() for key in (LOG, LOG_NEW, WITNESS, WITNESS_GREEK)], "notes": notes}
    (HERE / "notes.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")
