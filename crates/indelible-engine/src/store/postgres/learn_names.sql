-- The names that are redacted in these projects, and in those of these organizations, by the rules that are stored: the project's own and
-- its organization's. Of several rules for a name the strongest counts. What ended has no document.
WITH affected AS (
    SELECT project_id, organization_id FROM ledgers WHERE project_id = ANY ($1::text[]) OR organization_id = ANY ($1::text[])
), rules AS (
    SELECT rule -> 'owner' ->> 'id' AS owner, rule -> 'document' ->> 'name' AS name, rule -> 'document' ->> 'action' AS strategy
    FROM resources, LATERAL (SELECT body::jsonb) AS read (rule)
    WHERE type = 'redaction_rule' AND rule ->> 'ended_at' IS NULL AND resources.project_id IN (
        SELECT ledgers.project_id FROM ledgers WHERE organization_id IN (SELECT affected.organization_id FROM affected))
)
INSERT INTO redaction_names (project_id, name, strategy)
SELECT affected.project_id::uuid, name, (array_agg(strategy ORDER BY array_position(ARRAY['exclude', 'redact', 'hmac'], strategy)))[1]
FROM affected JOIN rules ON owner IN (affected.project_id, affected.organization_id)
WHERE name IS NOT NULL
GROUP BY affected.project_id, name
