#!/usr/bin/env python3
"""Makes keys.json and entries.json beside this file: another implementation of the formats, from their text alone.

It needs nothing but Python 3 and reads no Rust. Run it after a change of format; a diff in its output is a break.
"""
import datetime, hashlib, hmac, json, pathlib, uuid

HERE = pathlib.Path(__file__).parent


class Number(str):
    """A number as its source text."""


def read(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


def canonical(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def canonical_submission(text, new_id):
    event = read(text)
    event["id"] = str(uuid.UUID(event.get("id", new_id)))
    return canonical(event)


def instant(text):
    """Microseconds since 1970. Python's own reader rounds nothing, but takes six digits at most."""
    text = text.upper().replace("Z", "+00:00")
    head, offset = text[:-6], text[-6:]
    whole, _, fraction = head.partition(".")
    time = datetime.datetime.fromisoformat(whole + offset)
    seconds = int((time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)).total_seconds())
    return seconds * 1_000_000 + int((fraction + "000000")[:6])


def written(micros):
    time = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def entry(text, new_id, sealed, provenance, stamp):
    event = read(text)
    event.pop("content", None)
    event["id"] = str(uuid.UUID(event.get("id", new_id)))
    event.setdefault("action_category", event["action"].split(".")[0])
    recorded = instant(stamp["recorded_at"])
    claimed = instant(event["occurred_at"]) if "occurred_at" in event else recorded
    event["occurred_at"] = written(recorded if claimed > recorded + 600_000_000 else claimed)
    if claimed > recorded + 600_000_000:
        event["claimed_at"] = written(claimed)
    event["recorded_at"] = written(recorded)
    event["sequence"] = Number(stamp["sequence"])
    event["hmac_key_id"] = Number(stamp["hmac_key_id"])
    event["schema_version"] = Number(1)
    event["organization_id"] = provenance["organization_id"]
    event["project_id"] = provenance["project_id"]
    event["assurance"] = provenance["assurance"]
    event["recorder"] = {name: provenance[name] for name in ("api_key_id", "path") if name in provenance}
    if sealed is not None:
        stored = bytes.fromhex(sealed["stored"])
        event["sealed"] = {
            "bytes": Number(len(stored)),
            "plain_bytes": Number(sealed["plain_bytes"]),
            "sha256": hashlib.sha256(stored).hexdigest(),
        }
    return canonical(event)


NEW_ID = "0190a5f0-5b1c-7d3e-8f00-000000000001"
MINIMAL = '{"action":"invoice.pay","actor":{"type":"human","id":"u-1"},"outcome":"allow"}'
INTENT = '{"phase":"intent","operation_id":"op-9","action":"http.request","actor":{"type":"agent","id":"a","chain":[{"type":"human","id":"h"},{"id":"b","type":"agent","display":"B \\u20ac"}]},"http":{"url":"https://example.com/?q=\\"","method":"POST"},"occurred_at":"2026-11-21T20:00:00.1234567+02:00"}'
FULL = '''{
  "id": "0190A5F0-5B1C-7D3E-8F00-0000000000AB", "occurred_at": "2030-01-01T00:00:00Z",
  "context": {"\\ufb33": "dalet", "\\ud83d\\ude00": "grin", "tool": "search\\n", "\\u00f6": "\\u007f\\u0001", "a": ""},
  "run": {"thread_id": "t", "step": 0, "id": "r"}, "usage": {"input_tokens": 9007199254740991, "currency": "EUR"},
  "action": "tool.call", "action_category": "tools", "outcome": "partial", "outcome_detail": "timeout",
  "subjects": ["z", "a"], "pii_classes": [], "duration_ms": 12, "reason": "because \\/ \\\\ \\b\\f\\r\\t",
  "actor": {"type": "anonymous"}, "resource": {"type": "file", "id": "f", "parent": "d"},
  "request": {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "source_ip": "::1"},
  "http": {"status": 200, "request_truncated": false, "attempts": 1},
  "content": {"messages": [{"role": "user", "content": null}], "before_state": null, "extra": {"n": 1.50e+3, "b": -0, "a": 1E400},
    "request": {"headers": {"Accept": ["a", "b"]}, "body": "x"}}
}'''


def keys():
    for ring_key, project, submission, redacted in [
        (bytes(range(32)), "0190a5f0-5b1c-7d3e-8f00-0123456789ab", FULL, "alice@example.com"),
        (b"\xff" * 32, "00000000-0000-0000-0000-000000000000", INTENT, '{"a":1}'),
        (hashlib.sha256(b"ring").digest(), "6fa459ea-ee8a-4ca4-894e-db77e160355e", MINIMAL, ""),
    ]:
        scope = uuid.UUID(project).bytes
        derive = lambda label: mac(ring_key, label, scope)
        submitted = mac(derive(b"indelible/submission/v1"), canonical_submission(submission, str(uuid.UUID(int=0))).encode())
        yield {
            "ring_key": ring_key.hex(),
            "project_id": project,
            "chain_probe": mac(derive(b"indelible/chain/v1"), b"probe").hex(),
            "submission_probe": mac(derive(b"indelible/submission/v1"), b"probe").hex(),
            "redacted": redacted,
            "redaction_mac": "hmac-sha256:" + mac(derive(b"indelible/redact/v1"), redacted.encode()).hex(),
            "document_mac": mac(
                derive(b"indelible/document/v1"), b"halt\0" + b"0190a5f0\0" + (3).to_bytes(8, "big") + redacted.encode()
            ).hex(),
            "submission": submission,
            "submission_mac": submitted.hex(),
            "retry_mac": mac(derive(b"indelible/retry/v1"), (41).to_bytes(8, "big"), (7).to_bytes(8, "big"), submitted).hex(),
        }


def entries():
    gateway = {
        "organization_id": "0190a5f0-0000-7000-8000-00000000000a",
        "project_id": "0190a5f0-0000-7000-8000-00000000000b",
        "assurance": "gateway",
        "api_key_id": "k1",
        "path": "http",
    }
    engine = {**gateway, "assurance": "transactional", "path": "engine"}
    del engine["api_key_id"]
    for name, text, sealed, provenance, stamp in [
        ("least", MINIMAL, None, gateway, ("0", "2026-11-21T18:00:00.000001Z", "1")),
        ("an intent, and a time with an offset", INTENT, None, engine, ("10", "2026-11-21T18:00:01Z", "2")),
        ("everything, and a clock that is ahead", FULL, {"stored": "01" + "ab" * 40, "plain_bytes": "91"}, gateway,
         ("9007199254740991", "2029-12-31T23:49:59.999999Z", "12")),
        ("exactly ten minutes ahead", FULL, None, gateway, ("99", "2029-12-31T23:50:00Z", "1")),
    ]:
        stamp = dict(zip(("sequence", "recorded_at", "hmac_key_id"), stamp))
        out = entry(text, NEW_ID, sealed, provenance, stamp)
        yield {
            "name": name,
            "submission": text,
            "new_id": NEW_ID,
            "canonical_submission": canonical_submission(text, NEW_ID),
            "sealed": sealed,
            "provenance": provenance,
            "stamp": stamp,
            "entry": out,
            "leaf_hash": hashlib.sha256(b"\x00" + out.encode()).hexdigest(),
        }


for name, vectors in [("keys", keys()), ("entries", entries())]:
    (HERE / f"{name}.json").write_text(json.dumps(list(vectors), indent=1, ensure_ascii=True) + "\n")
