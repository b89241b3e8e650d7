-- name: materialize.identity_records
-- invariant: links are no records; a record with at least one accepted identifier has exactly one canonical_id; the first that it ever had stays
SELECT
    source,
    record_id,
    max(canonical_id) AS canonical_id,
    coalesce(max(first_canonical_id), max(canonical_id)) AS first_canonical_id
FROM (
    SELECT
        source,
        record_id,
        canonical_id,
        CAST(NULL AS VARCHAR) AS first_canonical_id
    FROM kinfold._run.edges
    WHERE accepted AND link IS NULL
    UNION ALL
    SELECT
        source,
        record_id,
        CAST(NULL AS VARCHAR) AS canonical_id,
        first_canonical_id
    FROM kinfold._run.previous
) AS both
GROUP BY source, record_id
HAVING max(canonical_id) IS NOT NULL
