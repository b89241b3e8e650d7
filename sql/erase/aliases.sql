-- name: erase.aliases
-- params: {rows} not used
-- invariant: an id of who is erased stands for nobody any more
SELECT
    a.old_canonical_id,
    CASE WHEN p.canonical_id IS NULL THEN a.canonical_id END AS canonical_id
FROM kinfold._run.rows AS a
LEFT JOIN kinfold._run.people AS p ON p.canonical_id = a.canonical_id
UNION ALL
SELECT
    p.canonical_id AS old_canonical_id,
    CAST(NULL AS VARCHAR) AS canonical_id
FROM kinfold._run.people AS p
LEFT ANTI JOIN kinfold._run.rows AS a ON a.old_canonical_id = p.canonical_id
