-- name: erase.identifiers
-- invariant: the identifiers of who is erased, and those that only their records carry
SELECT t.id_type, t.id_value
FROM kinfold._run.own AS t
INNER JOIN kinfold._run.people AS p ON t.canonical_id = p.canonical_id
UNION
SELECT t.id_type, t.id_value
FROM kinfold._run.edges AS t
LEFT JOIN kinfold._run.records AS r ON t.source = r.source AND t.record_id = r.record_id
WHERE t.id_type IS NOT NULL AND t.id_value IS NOT NULL
GROUP BY t.id_type, t.id_value
HAVING count(*) = count(r.record_id)
