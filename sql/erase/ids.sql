-- name: erase.ids
-- invariant: the ids of these identifiers
SELECT DISTINCT t.canonical_id
FROM kinfold._run.own AS t
INNER JOIN kinfold._run.identifiers AS i ON t.id_type = i.id_type AND t.id_value = i.id_value
