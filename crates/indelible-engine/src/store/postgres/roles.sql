-- The group roles, which nobody logs in as: audit_server, which a server's login role is a member of; audit_host, for applications that append
-- within their own transactions; audit_reader, for people who read with SQL. They are the cluster's, shared by all its databases, and are made
-- where they are not there. What they may do is in grants.sql, and beside the functions that hosts call.

DO $$
DECLARE
    wanted name;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['audit_server', 'audit_host', 'audit_reader']::name[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION
                -- Roles are the whole cluster's: another database may be installed into at the same time.
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'there is no role %, and % may not make it', wanted, current_user
                        USING ERRCODE = 'insufficient_privilege', HINT = format('Have an administrator run: CREATE ROLE %I NOLOGIN', wanted);
            END;
        END IF;
    END LOOP;
END
$$;
