#!/usr/bin/env python3
"""Makes ocsf.json, ecs.json and otlp.json beside this file from what their publishers publish: the parts that are used, without descriptions.

    derive.py OCSF ECS

OCSF is the compiled schema, ECS the flat list of fields as JSON; README.md says where each comes from. For otlp.json the package
`opentelemetry-proto` has to be installed. A diff in the output is another version, or another use of the schema.
"""
import json, pathlib, sys

HERE = pathlib.Path(__file__).parent

CLASSES = """account_change api_activity application_lifecycle authentication detection_finding entity_management group_management
    http_activity""".split()
OBJECTS = """actor ai_model api authorization finding_info group http_request http_response logger managed_entity message_context metadata
    network_endpoint policy product programmatic_credential reporter request resource_details service trace url user""".split()
FIELD_SETS = """@timestamp ecs event gen_ai http labels observer organization related rule source span trace url user user_agent""".split()


def compact(name, value):
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(part, separators=(',', ':'))}" for key, part in value.items())
    (HERE / name).write_text("{\n" + lines + "\n}\n")


def attribute(a):
    out = {"type": a.get("object_type") or a["type"]}
    if a["type"] == "object_t":
        out["object"] = True
    if a.get("is_array"):
        out["array"] = True
    if a.get("requirement") == "required":
        out["required"] = True
    if a.get("profiles"):
        out["profiles"] = a["profiles"]
    if "@deprecated" in a:
        out["deprecated"] = a["@deprecated"].get("since", True)
    # The numbers of categories of web sites are not used.
    if "enum" in a and len(a["enum"]) < 60:
        out["enum"] = {number: one["caption"] for number, one in a["enum"].items()}
        if a.get("sibling"):
            out["sibling"] = a["sibling"]
    return out


def ocsf(schema):
    base = {name: attribute(a) for name, a in sorted(schema["classes"]["base_event"]["attributes"].items())}

    def part(p, is_class):
        own = {name: attribute(a) for name, a in sorted(p["attributes"].items())}
        out = {"attributes": own}
        if is_class:
            # A class has all attributes of the base event; those that are no different are told there.
            out["attributes"] = {name: a for name, a in own.items() if base.get(name) != a}
            out.update(uid=p["uid"], caption=p["caption"], profiles=p["profiles"])
        if p.get("constraints"):
            out["constraints"] = p["constraints"]
        return out

    out = {"version": schema["version"], "base_event": {"attributes": base}}
    out.update({name: part(schema["classes"][name], True) for name in CLASSES})
    out.update({name: part(schema["objects"][name], False) for name in OBJECTS})
    return out


def ecs(fields):
    out = {}
    for name, f in sorted(fields.items()):
        if name.split(".")[0] not in FIELD_SETS or ".entity." in name or ".geo." in name or ".risk." in name:
            continue
        out[name] = {"type": f["type"]}
        if "array" in f["normalize"]:
            out[name]["array"] = True
        if f.get("allowed_values"):
            out[name]["allowed"] = {a["name"]: a.get("expected_event_types", []) for a in f["allowed_values"]}
    return out


def otlp():
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from google.protobuf.descriptor import FieldDescriptor as F

    kinds = {F.TYPE_STRING: "string", F.TYPE_BOOL: "bool", F.TYPE_DOUBLE: "double", F.TYPE_BYTES: "bytes", F.TYPE_INT64: "int64", F.TYPE_FIXED64: "fixed64",
             F.TYPE_UINT32: "uint32", F.TYPE_FIXED32: "fixed32", F.TYPE_INT32: "int32"}
    out, left = {}, [logs_service_pb2.ExportLogsServiceRequest.DESCRIPTOR, logs_service_pb2.ExportLogsServiceResponse.DESCRIPTOR]
    while left:
        message = left.pop(0)
        if message.name in out:
            continue
        fields = {}
        for f in message.fields:
            if f.message_type:
                left.append(f.message_type)
            kind = f.message_type.name if f.message_type else "enum" if f.enum_type else kinds[f.type]
            fields[f.json_name] = {"type": kind}
            if f.is_repeated:
                fields[f.json_name]["array"] = True
            if f.containing_oneof:
                fields[f.json_name]["oneof"] = f.containing_oneof.name
            if f.enum_type:
                fields[f.json_name]["values"] = [value.number for value in f.enum_type.values]
        out[message.name] = fields
    return out


compact("ocsf.json", ocsf(json.loads(pathlib.Path(sys.argv[1]).read_text())))
compact("ecs.json", ecs(json.loads(pathlib.Path(sys.argv[2]).read_text())))
compact("otlp.json", otlp())
