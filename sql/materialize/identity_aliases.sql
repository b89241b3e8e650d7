-- name: materialize.identity_aliases
-- invariant: what happened to ids that were retired, run after run, coming back included
SELECT
    kind,
    from_canonical_id,
    into_canonical_id
FROM kinfold._run.changes
WHERE kind IN ('merged', 'deleted')
    OR (
        kind IN ('created', 'split')
        AND into_canonical_id IN (
            SELECT from_canonical_id FROM kinfold._run.changes WHERE kind IN ('merged', 'deleted')
        )
    )
ORDER BY run_id
