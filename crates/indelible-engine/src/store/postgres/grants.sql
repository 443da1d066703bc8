-- Who may do what, and whose rows a reader sees. PUBLIC has nothing. Whoever installs owns everything, and makes partitions; the other roles
-- are those of roles.sql. Comes after everything that it takes from PUBLIC.
--
-- `indelible database check` reads what is granted from the GRANT statements of these files, and reports whatever is missing or there besides.
--
-- A server adds to events, and neither changes nor deletes. It has INSERT on each partition beside audit.events, since COPY is refused on a
-- table with row-level security: it copies into the partition of the month, which has none of its own. Nobody else has anything on a
-- partition, and whoever reads does so by way of audit.events.

-- Which projects a role reads, each told by an event of its chain. The role is the one that a session runs as (current_user), not one that it is a member of.
CREATE TABLE audit.readers (
    role       name NOT NULL,
    project_id uuid NOT NULL,
    PRIMARY KEY (role, project_id)
);

REVOKE ALL ON SCHEMA audit FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA audit FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA audit FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;

GRANT USAGE ON SCHEMA audit TO audit_server, audit_host, audit_reader;

GRANT SELECT, INSERT ON audit.events, audit.ids, audit.tiles, audit.anchors TO audit_server;
GRANT SELECT, INSERT ON audit.instance, audit.instance_leaves, audit.instance_tiles, audit.instance_checkpoints TO audit_server;
GRANT SELECT, INSERT ON audit.cosignatures, audit.ledgers, audit.data_keys, audit.ring_keys TO audit_server;
GRANT SELECT, INSERT ON audit.signing_keys, audit.retired_signing_keys TO audit_server;
GRANT SELECT, UPDATE ON audit.turn TO audit_server;
GRANT SELECT, INSERT, UPDATE ON audit.heads, audit.partial_tiles, audit.instance_edge, audit.resources TO audit_server;
GRANT SELECT, INSERT, UPDATE ON audit.api_key_uses, audit.leases TO audit_server;
GRANT SELECT, INSERT, DELETE ON audit.contents, audit.answers TO audit_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit.wraps, audit.stream_cursors, audit.webhook_deliveries TO audit_server;
GRANT SELECT, INSERT, DELETE ON audit.readers TO audit_server;
GRANT SELECT ON audit.migrations, audit.audit_events, audit.submissions TO audit_server;

-- Partitions that are there; those to come get it as they are made.
DO $$
DECLARE
    part text;
BEGIN
    FOR part IN SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'audit.events'::regclass LOOP
        EXECUTE format('GRANT INSERT ON audit.%I TO audit_server', part);
    END LOOP;
END
$$;

-- A reader has the columns of events but row and project, which are counted over all projects and would tell how much the others have.
GRANT SELECT ON audit.audit_events, audit.readers TO audit_reader;
GRANT SELECT (
    sequence, id, prev_hash, row_hash, entry, recorded_at, occurred_at, project_id, organization_id, hmac_key_id, schema_version,
    action, action_category, outcome, outcome_detail, reason, actor_type, actor_id, actor_display, actor_on_behalf_of,
    principal_type, principal_id, resource_type, resource_id, resource_parent, cascade_root_id, operation_id, phase,
    request_id, source_ip, user_agent, api_key_id, auth_method, run_id, thread_id, tool, assurance, pii_classes
) ON audit.events TO audit_reader;

ALTER TABLE audit.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY server ON audit.events TO audit_server USING (true) WITH CHECK (true);
CREATE POLICY reader ON audit.events FOR SELECT TO audit_reader
    USING (project_id = ANY (ARRAY(SELECT readers.project_id FROM audit.readers WHERE readers.role = current_user)));

ALTER TABLE audit.readers ENABLE ROW LEVEL SECURITY;
CREATE POLICY server ON audit.readers TO audit_server USING (true) WITH CHECK (true);
CREATE POLICY reader ON audit.readers FOR SELECT TO audit_reader USING (role = current_user);
