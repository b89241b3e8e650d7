-- name: materialize.segment
-- params: :as_of; {columns} the query's other columns, each after a comma; {carried} the same with the alias q
-- invariant: one row per canonical_id of the query; whoever was a member before keeps entered_at
SELECT
    q.canonical_id,
    coalesce(p.entered_at, :as_of) AS entered_at{carried}
FROM (SELECT DISTINCT CAST(canonical_id AS VARCHAR) AS canonical_id{columns} FROM kinfold._run.query) AS q
LEFT JOIN kinfold._run.previous AS p ON p.canonical_id = q.canonical_id
