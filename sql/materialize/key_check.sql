-- name: materialize.key_check
-- invariant: a profile or segment has one row per canonical_id, and none without
SELECT
    count(*) - count(canonical_id) AS missing,
    count(canonical_id) - count(DISTINCT canonical_id) AS repeated
FROM kinfold._run.current
