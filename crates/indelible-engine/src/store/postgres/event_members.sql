-- The members of an event, the actions of the engine, and limits. Made from crates/indelible-core/src/{event,limits.rs} by the test
-- `event_members_is_up_to_date`; UPDATE_EVENT_MEMBERS=1 makes it anew. Members are the caller's where nothing else is said.

CREATE FUNCTION audit.event_members() RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT '{
    "action": {"shape":"action","max":128,"required":true},
    "action_category": {"shape":"category","max":128},
    "actor": {"shape":"object","members":{"chain":{"shape":"objects","items":32,"members":{"display":{"shape":"text","max":8192},"id":{"shape":"text","max":1024,"required":true},"type":{"shape":"choice","of":["human","service_account","agent","system","anonymous"],"required":true}}},"display":{"shape":"text","max":8192},"id":{"shape":"text","max":1024},"on_behalf_of":{"shape":"text","max":1024},"type":{"shape":"choice","of":["human","service_account","agent","system","anonymous"],"required":true}},"required":true},
    "assurance": {"shape":"choice","of":["transactional","gateway","hook","telemetry","self_reported"],"owner":"server"},
    "cascade_root_id": {"shape":"text","max":1024},
    "changes": {"shape":"texts","items":256,"max":8192,"owner":"server"},
    "changes_total": {"shape":"integer","min":0,"max":9007199254740991,"owner":"server"},
    "channel": {"shape":"text","max":1024},
    "claimed_at": {"shape":"time","owner":"server"},
    "context": {"shape":"labels"},
    "decision": {"shape":"object","members":{"decision":{"shape":"text","max":1024,"required":true},"engine":{"shape":"text","max":1024},"policy_id":{"shape":"text","max":1024},"policy_version":{"shape":"text","max":1024},"rules":{"shape":"texts","items":256,"max":1024}}},
    "decrypt": {"shape":"object","members":{"purpose":{"shape":"text","max":1024,"owner":"engine"},"record_id":{"shape":"text","max":1024,"owner":"engine"},"record_type":{"shape":"text","max":1024,"owner":"engine"},"user_id":{"shape":"text","max":1024,"owner":"engine"}},"owner":"engine"},
    "duration_ms": {"shape":"integer","min":0,"max":9007199254740991},
    "grant": {"shape":"object","members":{"id":{"shape":"text","max":1024,"required":true},"kind":{"shape":"text","max":1024},"provider":{"shape":"text","max":1024}}},
    "hmac_key_id": {"shape":"integer","min":1,"max":9007199254740991,"owner":"server"},
    "http": {"shape":"object","members":{"attempts":{"shape":"integer","min":0,"max":9007199254740991},"latency_ms":{"shape":"integer","min":0,"max":9007199254740991},"method":{"shape":"text","max":32},"request_bytes":{"shape":"integer","min":0,"max":9007199254740991},"request_truncated":{"shape":"bool"},"response_bytes":{"shape":"integer","min":0,"max":9007199254740991},"response_truncated":{"shape":"bool"},"status":{"shape":"integer","min":0,"max":999},"url":{"shape":"text","max":8192}}},
    "id": {"shape":"uuid"},
    "model": {"shape":"object","members":{"id":{"shape":"text","max":1024,"required":true},"provider":{"shape":"text","max":1024}}},
    "occurred_at": {"shape":"time"},
    "operation_id": {"shape":"text","max":1024},
    "organization_id": {"shape":"uuid","owner":"server"},
    "outcome": {"shape":"choice","of":["allow","deny","error","partial"]},
    "outcome_detail": {"shape":"choice","of":["success","policy_denial","provider_error","network_error","timeout","no_op","skipped"]},
    "phase": {"shape":"choice","of":["intent","outcome"]},
    "pii_classes": {"shape":"texts","items":256,"max":1024},
    "principal": {"shape":"object","members":{"id":{"shape":"text","max":1024,"required":true},"type":{"shape":"choice","of":["user","group","system","agent"],"required":true}}},
    "project_id": {"shape":"uuid","owner":"server"},
    "provisioning": {"shape":"object","members":{"path":{"shape":"choice","of":["idp_webhook","directory_sync","scim","first_sign_in"],"required":true},"sync_run_id":{"shape":"text","max":1024}}},
    "read": {"shape":"object","members":{"filter":{"shape":"text","max":10000,"owner":"engine"},"purpose":{"shape":"text","max":1024,"owner":"engine"},"returned":{"shape":"integer","min":0,"max":9007199254740991,"owner":"engine"}},"owner":"engine"},
    "reason": {"shape":"text","max":8192},
    "recorded_at": {"shape":"time","owner":"server"},
    "recorder": {"shape":"object","members":{"api_key_id":{"shape":"text","max":1024,"owner":"server"},"path":{"shape":"text","max":1024,"owner":"server"}},"owner":"server"},
    "request": {"shape":"object","members":{"api_key_id":{"shape":"text","max":1024},"auth_method":{"shape":"text","max":1024},"request_id":{"shape":"text","max":1024},"source_ip":{"shape":"text","max":1024},"span_id":{"shape":"hex","bytes":8},"trace_id":{"shape":"hex","bytes":16},"user_agent":{"shape":"text","max":8192}}},
    "resource": {"shape":"object","members":{"id":{"shape":"text","max":1024,"required":true},"parent":{"shape":"text","max":1024},"type":{"shape":"text","max":1024,"required":true}}},
    "run": {"shape":"object","members":{"id":{"shape":"text","max":1024},"parent_id":{"shape":"text","max":1024},"procedure_id":{"shape":"text","max":1024},"procedure_version":{"shape":"text","max":1024},"step":{"shape":"integer","min":0,"max":9007199254740991},"thread_id":{"shape":"text","max":1024},"verdict":{"shape":"text","max":1024}}},
    "schema_version": {"shape":"integer","min":1,"max":9007199254740991,"owner":"server"},
    "scope": {"shape":"object","members":{"id":{"shape":"text","max":1024,"required":true},"type":{"shape":"text","max":1024,"required":true}}},
    "sealed": {"shape":"object","members":{"bytes":{"shape":"integer","min":0,"max":9007199254740991,"owner":"server"},"plain_bytes":{"shape":"integer","min":0,"max":9007199254740991,"owner":"server"},"sha256":{"shape":"hex","bytes":32,"owner":"server"}},"owner":"server"},
    "sealed_personal": {"shape":"object","members":{"bytes":{"shape":"integer","min":0,"max":9007199254740991,"owner":"server"},"plain_bytes":{"shape":"integer","min":0,"max":9007199254740991,"owner":"server"},"sha256":{"shape":"hex","bytes":32,"owner":"server"}},"owner":"server"},
    "sequence": {"shape":"integer","min":0,"max":9007199254740991,"owner":"server"},
    "subjects": {"shape":"texts","items":256,"max":1024},
    "usage": {"shape":"object","members":{"cache_read_tokens":{"shape":"integer","min":0,"max":9007199254740991},"cost_micros":{"shape":"integer","min":0,"max":9007199254740991},"currency":{"shape":"text","max":3},"input_tokens":{"shape":"integer","min":0,"max":9007199254740991},"output_tokens":{"shape":"integer","min":0,"max":9007199254740991},"reasoning_tokens":{"shape":"integer","min":0,"max":9007199254740991}}}
    }'::jsonb
$$;

CREATE FUNCTION audit.content_members() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['after_state', 'arguments', 'before_state', 'error', 'extra', 'messages', 'output', 'request', 'response', 'result']
$$;

CREATE FUNCTION audit.engine_nouns() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['api_key', 'audit', 'audit_stream', 'checkpoint', 'clock', 'database_binding', 'database_reader', 'event_schema', 'integrity', 'invitation', 'key', 'legal_hold', 'organization', 'plaintext_inbox', 'project', 'project_settings', 'redaction_rule', 'retention_policy', 'row_capture', 'webhook_delivery', 'webhook_signing_key']
$$;

CREATE FUNCTION audit.is_engine_action(action text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT split_part(action, '.', 1) = ANY (audit.engine_nouns()) OR action IN ('content.decrypt')
$$;

CREATE FUNCTION audit.event_limits() RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT '{"entry_bytes":65535,"content_bytes":16777216,"json_values":1000000,"changes_bytes":16384,"context_keys":20,"context_key_bytes":64,"context_value_bytes":512,"context_bytes":4096}'::jsonb
$$;
