"""Makes cursor.json from formats.md alone: python3 cursor.py > cursor.json"""
import base64, hashlib, json

ID = "0190f3a2-7c1e-7b7a-9c3e-2f1d5a6b7c8d"
PROJECT = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
CASES = [
    (None, "", "2026-05-01T00:00:00.123456Z"),
    ('ACTOR_ID eq "svc_42"', 'actor.id eq "svc_42"', "2026-05-01T00:00:00.000000Z"),
    ('( tool EQ "caf\\u00e9" )and occurred_at ge "2026-05-01T02:00:00+02:00"',
     'context.tool eq "café" and occurred_at ge "2026-05-01T00:00:00.000000Z"', "1969-12-31T23:59:59.999999Z"),
]
vectors = []
for given, normalised, at in CASES:
    q = hashlib.sha256(normalised.encode()).digest()[:8].hex()
    text = json.dumps({"id": ID, "occurred_at": at, "project_id": PROJECT, "q": q}, separators=(",", ":"), sort_keys=True)
    cursor = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    vectors.append({"filter": given, "id": ID, "occurred_at": at, "project_id": PROJECT, "cursor": cursor})
print(json.dumps(vectors, indent=1))
