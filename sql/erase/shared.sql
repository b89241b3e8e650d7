-- name: erase.shared
-- invariant: the ids that these identifiers had before and that others may have now
SELECT DISTINCT t.canonical_id
FROM kinfold._run.history AS t
INNER JOIN kinfold._run.identifiers AS i ON t.id_type = i.id_type AND t.id_value = i.id_value
