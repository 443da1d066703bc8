"""Makes chain.json from the text of formats.md (Chain, Tree) with Python's own hmac and hashlib."""
import hashlib, hmac, json, uuid


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def chain(ring_id, ring_key, project, entries):
    key = mac(ring_key, b"indelible/chain/v1", project.bytes)
    previous, leaves, rows, heads = bytes(32), [], [], []

    def head():
        r = root(leaves)
        m = mac(key, b"indelible/head/v1", len(leaves).to_bytes(8, "big"), previous, r)
        heads.append({"size": len(leaves), "row_hash": previous.hex(), "tree_root": r.hex(), "mac": m.hex()})

    head()
    for entry in entries:
        row = mac(key, entry.encode(), previous)
        rows.append({"entry": entry, "prev_hash": previous.hex(), "row_hash": row.hex()})
        previous = row
        leaves.append(hashlib.sha256(b"\x00" + entry.encode()).digest())
        head()
    return {"ring_id": ring_id, "ring_key": ring_key.hex(), "project_id": str(project), "rows": rows, "heads": heads}


def entry(project, n, text):
    members = {"action": "policy.update", "hmac_key_id": 1, "project_id": str(project), "reason": text, "sequence": n}
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


one, two = uuid.UUID("018f4b2a-0000-7000-8000-000000000001"), uuid.UUID(int=0)
texts = ["first", "Grüße \U0001f512", "x" * 3000, "", "last"]
print(json.dumps({"chains": [
    chain(1, bytes(range(32)), one, [entry(one, n, t) for n, t in enumerate(texts)]),
    chain(7, b"\xff" * 32, two, ["{}", ""]),
]}, indent=1, ensure_ascii=False))
