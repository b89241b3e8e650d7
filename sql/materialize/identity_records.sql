-- name: materialize.identity_records
-- invariant: links are no records; a record with at least one accepted identifier has exactly one canonical_id
SELECT source, record_id, max(canonical_id) AS canonical_id
FROM kinfold._run.edges
WHERE accepted AND link IS NULL
GROUP BY source, record_id
