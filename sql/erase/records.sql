-- name: erase.records
-- invariant: the records of who is erased, links included
SELECT DISTINCT t.source, t.record_id
FROM kinfold._run.edges AS t
INNER JOIN kinfold._run.people AS p ON t.canonical_id = p.canonical_id
WHERE t.accepted AND t.source IS NOT NULL AND t.record_id IS NOT NULL
