#!/usr/bin/env python3
"""Makes anchors.json beside this file: checkpoints, a chain of anchors with their notes, and leaves of the instance tree,
from formats.md and the C2SP documents alone. Needs what notes.py needs.
"""
import hashlib, json

from notes import HERE, LOG, LOG_NEW, PROJECT, WITNESS, b64, seed


def leaf(data):
    return hashlib.sha256(b"\x00" + data).digest()


def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def canonical(members):
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def checkpoint(origin, leaves, signers):
    text = f"{origin}\n{len(leaves)}\n{b64(root(leaves))}\n"
    return text + "\n" + "".join(key.line(text, time) for key, time in signers)


ENTRIES = [f'{{"sequence":{n},"text":"entry {n}"}}'.encode() for n in range(40)]
LEAVES = [leaf(entry) for entry in ENTRIES]
ROWS = [seed(1000 + n) for n in range(40)]


def anchors():
    previous, out = None, []
    for first, last, key, at in [(0, 0, LOG, "00.000001"), (1, 6, LOG, "00.000001"), (7, 39, LOG_NEW, "59.999999")]:
        members = {
            "anchor_at": f"2026-03-04T05:06:{at}Z", "project_id": PROJECT, "first_sequence": first, "last_sequence": last,
            "event_count": last - first + 1, "last_row_hash": ROWS[last].hex(),
            "merkle_root": root([leaf(row) for row in ROWS[first : last + 1]]).hex(), "tree_size": last + 1,
            "tree_root": root(LEAVES[: last + 1]).hex(), "signing_key_id": key.id.hex(),
        }
        if previous:
            members["previous_anchor_sha256"] = previous
        body = canonical(members)
        previous = hashlib.sha256(body.encode()).hexdigest()
        text = f"indelible-anchor/v1\n{LOG.name}\n{b64(bytes.fromhex(previous))}\n"
        leaf_text = canonical({"anchor_sha256": previous, "project_id": PROJECT, "root": members["tree_root"], "size": last + 1})
        out.append({"anchor": body, "sha256": previous, "note": text + "\n" + key.line(text), "instance_leaf": leaf_text,
                    "instance_leaf_hash": leaf(leaf_text.encode()).hex(), "rows": [row.hex() for row in ROWS[first : last + 1]]})
    return out


if __name__ == "__main__":
    checkpoints = []
    for size, signers in [(0, [(LOG, None)]), (1, [(LOG, None), (LOG_NEW, None)]), (40, [(LOG_NEW, None), (WITNESS, 1_700_000_000)])]:
        checkpoints.append({"size": size, "root": root(LEAVES[:size]).hex(), "note": checkpoint(LOG.name, LEAVES[:size], signers),
                            "log_keys": [key.vkey() for key, time in signers if time is None],
                            "witnesses": [[key.vkey(), time] for key, time in signers if time is not None]})
    out = {"origin": LOG.name, "keys": [key.vkey() for key in (LOG, LOG_NEW, WITNESS)],
           "seeds": [key.seed.hex() for key in (LOG, LOG_NEW, WITNESS)], "checkpoints": checkpoints, "anchors": anchors()}
    (HERE / "anchors.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")
