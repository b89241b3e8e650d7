-- name: materialize.profile_history
-- params: :as_of; {columns} the profile's columns; {carried} the same with the alias h; {same} all columns are equal, nulls included
-- invariant: every profile has exactly one open row, equal to its current traits; a closed row is never rewritten
SELECT
    {carried},
    h.valid_from,
    CASE WHEN h.valid_to IS NULL AND c.canonical_id IS NULL THEN :as_of ELSE h.valid_to END AS valid_to
FROM kinfold._run.history AS h
LEFT JOIN kinfold._run.current AS c ON {same}
UNION ALL
SELECT
    {columns},
    :as_of AS valid_from,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS valid_to
FROM kinfold._run.current AS c
WHERE NOT EXISTS (
    SELECT 1 FROM kinfold._run.history AS h WHERE h.valid_to IS NULL AND {same}
)
