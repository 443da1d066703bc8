-- Partitions of audit.events, one a month of recorded_at in UTC, named events_2026_11. Whoever owns the tables makes them, ahead of time and
-- also when a row finds none: a server's clock that was confirmed to be right may be years away from the last row.
--
-- There is no DEFAULT partition. It would take rows in silence, and from then on every new partition would first have to lock and read it,
-- and could not be made at all while it holds a row of that month. Without one, a row that finds no partition is refused (23514), the
-- partition is made, and the row is written again: nothing is lost, and nobody waits longer than for one empty table.
--
-- Indexes are on the parent and every partition gets them. Each costs every append, so there are few: the primary key, which the engine reads
-- by; two for the two questions that people ask in SQL, whose data was used and what did an agent see; and one for ranges of time, which
-- is a few kilobytes. occurred_at comes from callers and may be far off, so its ranges are kept as several.

CREATE INDEX events_by_principal ON audit.events (principal_id, occurred_at DESC) WHERE principal_id IS NOT NULL;
CREATE INDEX events_by_actor ON audit.events (actor_id, occurred_at DESC) WHERE actor_id IS NOT NULL;
CREATE INDEX events_by_time ON audit.events USING brin (recorded_at, occurred_at timestamptz_minmax_multi_ops)
    WITH (pages_per_range = 32, autosummarize = on);

-- Makes the partition of the month of `at` and of `ahead` months after it, where they are not there, and returns the names of those it made.
-- Any number of servers may call it at once, also under load: one makes, the others wait and find. A new table is attached, which
-- readers and writers of audit.events do not wait for; CREATE TABLE … PARTITION OF would stop them all.
CREATE FUNCTION audit.make_partitions(at timestamptz DEFAULT now(), ahead integer DEFAULT 3) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    month timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
    name  text;
    found regclass;
BEGIN
    IF at IS NULL OR ahead IS NULL OR ahead NOT BETWEEN 0 AND 1200 THEN
        RAISE EXCEPTION 'make_partitions takes a time and 0 to 1200 months ahead of it' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR n IN 0..ahead LOOP
        IF month < '0001-01-01' OR month > '9999-12-01' THEN
            RAISE EXCEPTION 'make_partitions: % is not in the years 1 to 9999', month USING ERRCODE = 'datetime_field_overflow';
        END IF;
        name := 'events_' || to_char(month, 'YYYY_MM');
        found := to_regclass('audit.' || name);
        IF found IS NULL THEN
            -- The lock that attaching takes, which only one can have and which reading and writing do not wait for. Unlike an advisory
            -- lock it also tells this session what others have made while it waited.
            LOCK TABLE audit.events IN SHARE UPDATE EXCLUSIVE MODE;
            found := to_regclass('audit.' || name);
        END IF;
        IF found IS NULL THEN
            PERFORM audit.make_partition(name, month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
            RETURN NEXT name;
        ELSIF pg_partition_root(found) IS DISTINCT FROM 'audit.events'::regclass THEN
            RAISE EXCEPTION 'audit.% is there and is no partition of audit.events', name
                USING ERRCODE = 'duplicate_table', HINT = 'Attach it again if it was detached: it may hold events.';
        END IF;
        month := month + interval '1 month';
    END LOOP;
END
$$;

-- One partition, with what a partition does not get by being attached: an owner, INSERT for whoever has it on audit.events, and the triggers
-- that fire once a statement. It has no row-level security, which would refuse COPY, and nobody may read it but by way of audit.events.
CREATE FUNCTION audit.make_partition(name text, since timestamptz, until timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    owner    name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'audit.events'::regclass);
    grantee  name;
    trigger_ record;
BEGIN
    EXECUTE format('CREATE TABLE audit.%I (LIKE audit.events INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)', name);
    -- Takes SHARE UPDATE EXCLUSIVE on audit.events. It also makes the indexes, and clones the triggers that fire once a row. It comes first,
    -- for an event trigger refuses whatever leaves a table of this name that is not attached.
    EXECUTE format('ALTER TABLE audit.events ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)', name, since, until);
    IF owner <> current_user THEN
        EXECUTE format('ALTER TABLE audit.%I OWNER TO %I', name, owner);
    END IF;
    FOR grantee IN
        SELECT DISTINCT pg_get_userbyid(acl.grantee) FROM pg_class, aclexplode(relacl) AS acl
        WHERE pg_class.oid = 'audit.events'::regclass AND acl.privilege_type = 'INSERT' AND acl.grantee NOT IN (0, relowner)
    LOOP
        EXECUTE format('GRANT INSERT ON audit.%I TO %I', name, grantee);
    END LOOP;
    FOR trigger_ IN
        SELECT tgname, pg_get_triggerdef(oid) AS definition, (tgtype & 1) = 0 AS by_statement
        FROM pg_trigger WHERE tgrelid = 'audit.events'::regclass AND NOT tgisinternal
    LOOP
        IF trigger_.by_statement THEN
            EXECUTE replace(trigger_.definition, ' ON audit.events ', format(' ON audit.%I ', name));
        END IF;
        EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER %I', name, trigger_.tgname);
    END LOOP;
END
$$;
