"""Verifies a range bundle with nothing but the standard library, openssl, and docs/bundle.md.

Usage: bundle.py BUNDLE VERIFIER_KEY. Prints the number of entries that it proves.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def tiles(begin, end):
    """The largest full subtrees of [begin, end), left to right, as their sizes."""
    while begin < end:
        size = begin & -begin or 1 << 62
        while size > end - begin:
            size >>= 1
        yield size
        begin += size


def push(stack, size, digest):
    """Joins two neighbours whenever they are the halves of a larger full subtree."""
    begin = sum(part[0] for part in stack)
    stack.append((size, digest))
    while len(stack) > 1 and stack[-1][0] == stack[-2][0] and (begin - stack[-2][0]) % (2 * stack[-1][0]) == 0:
        (_, right), (size, left) = stack.pop(), stack.pop()
        begin -= size
        stack.append((2 * size, node(left, right)))


def signed_by(note, key):
    """Whether the key, `<name>+<id>+<base64 of 0x01 and the public key>`, signed the note."""
    name, identity, material = key.split("+", 2)
    material = base64.b64decode(material)
    assert material[0] == 1 and hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() == identity
    text, signatures = note.rsplit("\n\n", 1)
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if signer != name or signature[:4].hex() != identity:
            continue
        with tempfile.TemporaryDirectory() as folder:
            der = bytes.fromhex("302a300506032b6570032100") + material[1:]
            for file, data in [("key", der), ("signature", signature[4:]), ("text", (text + "\n").encode())]:
                with open(f"{folder}/{file}", "wb") as out:
                    out.write(data)
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", f"{folder}/key", "-rawin"]
            command += ["-in", f"{folder}/text", "-sigfile", f"{folder}/signature"]
            return subprocess.run(command, capture_output=True).returncode == 0
    return False


def main(path, key):
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    manifest = json.loads(files["manifest.json"])
    assert (manifest["version"], manifest["kind"]) == (1, "range")
    for name, digest in manifest["files"].items():
        assert hashlib.sha256(files[name]).hexdigest() == digest, name
    checkpoint = files["checkpoint"].decode()
    assert signed_by(checkpoint, key), "the key did not sign the checkpoint"
    origin, size, root = checkpoint.split("\n")[:3]
    assert origin == key.split("+")[0] == manifest["origin"]
    header, first, last, of, *hashes = files["range-proof"].decode().splitlines()
    assert header == "indelible-range-proof/v1"
    first, last, size = int(first), int(last), int(size)
    assert int(of) == size and (first, last) == (manifest["first_sequence"], manifest["last_sequence"])
    hashes = [base64.b64decode(line) for line in hashes]
    stack = []
    for part in tiles(0, first):
        push(stack, part, hashes.pop(0))
    entries = files["entries.ndjson"].split(b"\n")
    assert entries.pop() == b""
    for place, entry in enumerate(entries, first):
        read = json.loads(entry)
        assert (read["sequence"], read["project_id"]) == (place, manifest["project_id"])
        push(stack, 1, hashlib.sha256(b"\x00" + entry).digest())
    assert first + len(entries) == last + 1, "entries are missing"
    for part in tiles(last + 1, size):
        push(stack, part, hashes.pop(0))
    assert not hashes
    total = stack.pop()[1]
    while stack:
        total = node(stack.pop()[1], total)
    assert total == base64.b64decode(root), "another root"
    print(len(entries))


main(*sys.argv[1:])
