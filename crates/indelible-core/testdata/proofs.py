#!/usr/bin/env python3
"""Makes proofs.json beside this file: proofs of inclusion, consistency and ranges as texts, with RFC 6962, section 2.1,
taken literally. Needs what notes.py needs.
"""
import json

from anchors import ENTRIES, LEAVES, checkpoint, root
from notes import HERE, LOG, WITNESS, b64


def split(n):
    return 1 << (n - 1).bit_length() - 1


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [root(leaves[k:])]
    return path(m - k, leaves[k:]) + [root(leaves[:k])]


def subproof(m, leaves, complete):
    if m == len(leaves):
        return [] if complete else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return subproof(m, leaves[:k], complete) + [root(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [root(leaves[:k])]


def compact(begin, end):
    """The roots of the largest aligned subtrees that tile the range."""
    out = []
    while begin < end:
        size = 1
        while begin % (2 * size) == 0 and begin + 2 * size <= end:
            size *= 2
        out.append(root(LEAVES[begin : begin + size]))
        begin += size
    return out


def lines(hashes):
    return "".join(b64(h) + "\n" for h in hashes)


if __name__ == "__main__":
    inclusion = []
    for index, size, extra in [(0, 1, None), (0, 40, None), (39, 40, b""), (5, 7, b"beside"), (31, 33, None), (32, 33, None)]:
        note = checkpoint(LOG.name, LEAVES[:size], [(LOG, None), (WITNESS, 1_700_000_000)])
        head = "" if extra is None else f"extra {b64(extra)}\n"
        text = f"c2sp.org/tlog-proof@v1\n{head}index {index}\n{lines(path(index, LEAVES[:size]))}\n{note}"
        inclusion.append({"index": index, "size": size, "extra": None if extra is None else extra.hex(), "text": text})
    consistency = []
    for old, new in [(0, 0), (0, 9), (1, 2), (3, 7), (4, 7), (6, 8), (7, 7), (8, 40), (33, 40), (39, 40)]:
        proof = subproof(old, LEAVES[:new], True) if 0 < old < new else []
        consistency.append({"old": old, "new": new, "text": f"{old}\n{new}\n{lines(proof)}"})
    ranges = []
    for first, last, size in [(0, 0, 1), (0, 39, 40), (0, 4, 40), (39, 39, 40), (3, 17, 40), (8, 15, 33), (13, 13, 14), (1, 1, 3)]:
        hashes = compact(0, first) + compact(last + 1, size)
        text = f"indelible-range-proof/v1\n{first}\n{last}\n{size}\n{lines(hashes)}"
        ranges.append({"first": first, "last": last, "size": size, "text": text})
    out = {"keys": [LOG.vkey(), WITNESS.vkey()], "entries": [e.decode() for e in ENTRIES],
           "roots": [root(LEAVES[:n]).hex() for n in range(41)], "inclusion": inclusion, "consistency": consistency, "ranges": ranges}
    (HERE / "proofs.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")
