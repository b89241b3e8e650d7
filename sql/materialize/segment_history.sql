-- name: materialize.segment_history
-- params: :as_of, :run_id
-- invariant: a closed period is never rewritten; an open one is closed when its member is gone; every member has exactly one open period
SELECT
    h.canonical_id,
    h.entered_at,
    CASE WHEN h.exited_at IS NULL AND m.canonical_id IS NULL THEN :as_of ELSE h.exited_at END AS exited_at,
    h.run_id
FROM kinfold._run.history AS h
LEFT JOIN kinfold._run.members AS m ON m.canonical_id = h.canonical_id
UNION ALL
SELECT
    m.canonical_id,
    m.entered_at,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS exited_at,
    :run_id AS run_id
FROM kinfold._run.members AS m
WHERE NOT EXISTS (
    SELECT 1 FROM kinfold._run.history AS h WHERE h.canonical_id = m.canonical_id AND h.exited_at IS NULL
)
