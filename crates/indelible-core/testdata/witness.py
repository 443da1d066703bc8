#!/usr/bin/env python3
"""Makes witness.json beside this file: requests to a witness, what it cosigned last, and what it must answer, from
c2sp.org/tlog-witness alone. Needs what notes.py needs.
"""
import json

from anchors import LEAVES, checkpoint, root
from notes import HERE, LOG, LOG_NEW, WITNESS, b64
from proofs import lines, subproof


def request(old, size, signers, proof=None, leaves=LEAVES):
    if proof is None:
        proof = subproof(old, leaves[:size], True) if 0 < old < size else []
    return f"old {old}\n{lines(proof)}\n" + checkpoint(LOG.name, leaves[:size], [(key, None) for key in signers])


OTHER = LEAVES[:12] + [root([])] + LEAVES[13:]
TIME = 1_700_000_000
if __name__ == "__main__":
    cases = []

    def case(name, body, last, status, size=None, known=True):
        cases.append({"name": name, "body": body, "known": known, "status": status, "size": size,
                      "last": None if last is None else [last, root(LEAVES[:last]).hex()]})

    case("the first of a log", request(0, 5, [LOG]), None, 200)
    case("the first, of size 0", request(0, 0, [LOG]), None, 200)
    case("the first, with a proof", request(0, 5, [LOG], proof=[LEAVES[0]]), None, 422)
    case("grown", request(7, 40, [LOG]), 7, 200)
    case("grown from a power of two", request(8, 33, [LOG_NEW, LOG]), 8, 200)
    case("the same again", request(33, 33, [LOG]), 33, 200)
    case("the same again, with a proof", request(33, 33, [LOG], proof=[LEAVES[0]]), 33, 422)
    case("nothing cosigned, and the log believes there was", request(7, 40, [LOG]), None, 409, 0)
    case("asked for the size", request(0, 40, [LOG]), 7, 409, 7)
    case("behind", request(7, 9, [LOG]), 33, 409, 33)
    case("old beyond new", request(40, 33, [LOG]), 40, 400)
    case("another root for the size", request(33, 33, [LOG], leaves=OTHER), 33, 409)
    case("grown out of another history", request(16, 40, [LOG], leaves=OTHER), 16, 422)
    case("a proof too short", request(7, 40, [LOG], proof=subproof(7, LEAVES, True)[1:]), 7, 422)
    case("no proof", request(7, 40, [LOG], proof=[]), 7, 422)
    case("no key of the log", request(7, 40, [LOG_NEW]), 7, 403)
    case("a log of no witness", request(7, 40, [LOG]), 7, 404, known=False)
    text = checkpoint(LOG.name, LEAVES, []).rstrip("\n") + "\n"
    out = {"log": LOG.vkey(), "witness": WITNESS.vkey(), "witness_seed": WITNESS.seed.hex(), "cases": cases, "time": TIME,
           "cosigned": WITNESS.line(text, TIME)}
    (HERE / "witness.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")
