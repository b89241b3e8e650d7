-- name: materialize.identity_records
-- invariant: a record with at least one accepted identifier has exactly one canonical_id
SELECT source, record_id, max(canonical_id) AS canonical_id
FROM kinfold._run.edges
WHERE accepted
GROUP BY source, record_id
