#!/usr/bin/env python3
"""Makes bundles.json beside this file: evidence bundles as lists of names and texts, from docs/bundle.md alone. Needs what
notes.py needs.
"""
import hashlib, json

from anchors import ROWS, canonical, leaf, root
from notes import HERE, LOG, PROJECT, WITNESS, Key, b64, seed
from proofs import lines, path, subproof

ORGANIZATION = "018f4b2a-0000-7000-8000-0000000000ff"
INSTANCE = Key("audit.example/acme-0a1b2c3d", 1, seed(9))
KEYS = [LOG, INSTANCE, WITNESS]
TREE = 40


def entry(n):
    time = f"2026-03-04T05:06:{n:02}.000000Z"
    return canonical({"action": "policy.update", "hmac_key_id": 1, "id": f"018f4b2a-0000-7000-8000-{n:012x}", "occurred_at": time,
                      "organization_id": ORGANIZATION, "project_id": PROJECT, "reason": "Grüße" * n, "recorded_at": time, "sequence": n})


ENTRIES = [entry(n) for n in range(TREE)]
LEAVES = [leaf(e.encode()) for e in ENTRIES]


def text(origin, leaves):
    return f"{origin}\n{len(leaves)}\n{b64(root(leaves))}\n"


def signed(body, *lines_):
    return body + "\n" + "".join(lines_)


def anchors(ends):
    previous, first, out = None, 0, []
    for end in ends:
        members = {"anchor_at": f"2026-03-04T06:00:{end:02}.000000Z", "project_id": PROJECT, "first_sequence": first, "last_sequence": end - 1,
                   "event_count": end - first, "last_row_hash": ROWS[end - 1].hex(), "tree_size": end, "tree_root": root(LEAVES[:end]).hex(),
                   "merkle_root": root([leaf(row) for row in ROWS[first:end]]).hex(), "signing_key_id": LOG.id.hex()}
        if previous:
            members["previous_anchor_sha256"] = previous
        body = canonical(members)
        previous, first = hashlib.sha256(body.encode()).hexdigest(), end
        note = f"indelible-anchor/v1\n{LOG.name}\n{b64(bytes.fromhex(previous))}\n"
        leaf_text = canonical({"anchor_sha256": previous, "project_id": PROJECT, "root": members["tree_root"], "size": end})
        out.append((canonical({"anchor": members, "note": signed(note, LOG.line(note))}), leaf_text))
    return out


def compact(begin, end):
    out = []
    while begin < end:
        size = 1
        while begin % (2 * size) == 0 and begin + 2 * size <= end:
            size *= 2
        out.append(root(LEAVES[begin : begin + size]))
        begin += size
    return out


def sha(data):
    return hashlib.sha256(data).hexdigest()


def bundle(first, last, chosen=None, ends=(0, TREE), old=None, instance=False):
    note = signed(text(LOG.name, LEAVES), LOG.line(text(LOG.name, LEAVES)))
    made = anchors(range(1, TREE + 1, 13))
    made = made[ends[0] : ends[1]]
    rows = range(first, last + 1) if chosen is None else chosen
    files = [("verifier-keys", "".join(key.vkey() + "\n" for key in KEYS)), ("checkpoint", note),
             ("anchors.ndjson", "".join(line + "\n" for line, _ in made))]
    if old is not None:
        files.append(("consistency", f"{old}\n{TREE}\n{lines(subproof(old, LEAVES, True))}"))
    if chosen is None:
        files.append(("range-proof", f"indelible-range-proof/v1\n{first}\n{last}\n{TREE}\n{lines(compact(0, first) + compact(last + 1, TREE))}"))
    if instance:
        leaf_text = made[-1][1]
        leaves = [leaf(b"another project's"), leaf(leaf_text.encode()), leaf(b"and one more")]
        body = text(INSTANCE.name, leaves)
        instance_note = signed(body, INSTANCE.line(body), WITNESS.line(body, 1_700_000_000))
        files += [("instance/checkpoint", instance_note), ("instance/leaf", leaf_text),
                  ("instance/proof", f"c2sp.org/tlog-proof@v1\nindex 1\n{lines(path(1, leaves))}\n{instance_note}")]
    files.append(("entries.ndjson", "".join(ENTRIES[n] + "\n" for n in rows)))
    digests = {name: sha(body.encode()) for name, body in files}
    members = {"version": 1, "kind": "range", "organization_id": ORGANIZATION, "project_id": PROJECT, "origin": LOG.name,
               "first_sequence": first, "last_sequence": last, "tree_size": TREE, "entries_included": len(rows),
               "entries_left_out": last - first + 1 - len(rows), "content_included": False, "files": digests}
    if chosen is not None:
        proofs = [(f"proofs/{n}", f"c2sp.org/tlog-proof@v1\nindex {n}\n{lines(path(n, LEAVES))}\n{note}") for n in rows]
        digests["proofs/"] = sha("".join(f"{name}\n{len(body.encode())}\n{body}" for name, body in proofs).encode())
        files += proofs
        members |= {"kind": "selection", "filter": 'actor.id eq "é"'}
    return [["manifest.json", canonical(members)]] + [list(file) for file in files]


if __name__ == "__main__":
    bundles = [
        {"name": "a range with everything", "verdict": "intact", "entries": 28, "left_out": 0, "anchors": 4, "grown_from": 33,
         "instance": [3, 1], "files": bundle(5, 32, old=33, instance=True)},
        {"name": "all of it, anchored in part", "verdict": "unverifiable", "entries": 40, "left_out": 0, "anchors": 1, "grown_from": None,
         "instance": None, "files": bundle(0, 39, ends=(0, 1))},
        {"name": "a selection", "verdict": "intact", "entries": 3, "left_out": 27, "anchors": 1, "grown_from": 33, "instance": None,
         "files": bundle(10, 39, chosen=[11, 12, 39], ends=(3, 4), old=33)},
        {"name": "a selection of nothing", "verdict": "intact", "entries": 0, "left_out": 40, "anchors": 0, "grown_from": 33,
         "instance": None, "files": bundle(0, 39, chosen=[], ends=(0, 0), old=33)},
    ]
    out = {"keys": [key.vkey() for key in KEYS], "earlier": text(LOG.name, LEAVES[:33]), "bundles": bundles}
    (HERE / "bundles.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")
