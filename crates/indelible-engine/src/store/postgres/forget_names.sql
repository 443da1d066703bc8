-- The names that are redacted in these projects, and in those of these organizations, before they are written anew (learn_names.sql).
DELETE FROM redaction_names WHERE project_id IN (
    SELECT ledgers.project_id::uuid FROM ledgers WHERE ledgers.project_id = ANY ($1::text[]) OR organization_id = ANY ($1::text[]))
