"""Makes redaction.json: submissions and what must be left of them. Expected values are written by hand; hmac values are
computed here with the standard library, as formats.md (Redaction hmac) says."""

import hashlib
import hmac
import json
import uuid

RING_KEY = bytes([7] * 32)
PROJECT = uuid.UUID("01900000-0000-7000-8000-000000000001")
KEY = hmac.digest(RING_KEY, b"indelible/redact/v1" + PROJECT.bytes, "sha256")


def mac(text):
    return "hmac-sha256:" + hmac.digest(KEY, text.encode(), "sha256").hex()


def body(received, kept):
    data = received.encode()
    return {"text": kept, "truncated": False, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def vector(name, content, expected, envelope=None, expected_envelope=None):
    return {
        "name": name,
        "envelope": envelope or {},
        "content": content,
        "redacted_envelope": expected_envelope or envelope or {},
        "redacted_content": expected,
    }


FORM = "grant_type=refresh_token&refresh_token=abc&client_secret=def&external_user_id=u%2042"
VECTORS = [
    vector(
        "hmac of a string, a number, an object and null",
        {"extra": {"stripe_customer_id": "cus_é", "externalUserId": 42, "a": {"External-User-ID": {"b": 1, "a": [True]}}, "b": {"external.user.id": None}}},
        {"extra": {"stripe_customer_id": mac("cus_é"), "externalUserId": mac("42"), "a": {"External-User-ID": mac('{"a":[true],"b":1}')}, "b": {"external.user.id": mac("null")}}},
    ),
    vector(
        "states, their changes and their diff",
        {"after_state": {"key": "k2", "name": "b", "password": "new", "tags": ["x", "a"], "token": "t2"},
         "before_state": {"key": "k1", "name": "a", "password": "old", "tags": ["a"], "token": "t1"}},
        {"after_state": {"name": "b", "password": "[REDACTED]", "tags": ["x", "a"]},
         "before_state": {"name": "a", "password": "[REDACTED]", "tags": ["a"]},
         "diff": [{"op": "replace", "path": "/name", "value": "b"}, {"op": "add", "path": "/tags/0", "value": "x"}]},
        {"action": "policy.update"},
        {"action": "policy.update", "changes": ["/key", "/name", "/password", "/tags/0", "/token"], "changes_total": 5},
    ),
    vector(
        "a token request over HTTP",
        {"request": {"headers": {"Authorization": "Basic abc", "Content-Type": "application/x-www-form-urlencoded"}, "body": FORM},
         "response": {"headers": [{"name": "Set-Cookie", "value": "a=b"}], "body": {"access_token": "abc", "expires_in": 3600}}},
        {"request": {"headers": {"Content-Type": "application/x-www-form-urlencoded"},
                     "body": body(FORM, "grant_type=refresh_token&refresh_token=[REDACTED]&client_secret=[REDACTED]&external_user_id=" + mac("u 42"))},
         "response": {"headers": [{"name": "Set-Cookie"}], "body": body('{"access_token":"abc","expires_in":3600}', '{"expires_in":3600}')}},
        {"http": {"method": "POST", "url": "https://client:pw@host/token?sig=abc"}},
        {"http": {"method": "POST", "request_bytes": len(FORM), "request_truncated": False, "response_bytes": 40, "response_truncated": False,
                  "url": "https://client@host/token?sig=[REDACTED]"}},
    ),
    vector(
        "strings inside of strings",
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": json.dumps({"headers": {"cookie": "a=b"}, "q": json.dumps({"api_key": "x", "n": 1})})}}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": '{"headers":{},"q":"{\\"n\\":1}"}'}}]}]},
    ),
    vector("context", {}, None, {"context": {"Session-Token": "x", "external_user_id": "u", "tool": "t"}}, {"context": {"external_user_id": mac("u"), "tool": "t"}}),
]

with open("redaction.json", "w", encoding="utf-8") as file:
    json.dump({"ring_key": RING_KEY.hex(), "project_id": str(PROJECT), "vectors": VECTORS}, file, indent=1, ensure_ascii=False)
    file.write("\n")
