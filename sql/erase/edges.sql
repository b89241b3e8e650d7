-- name: erase.edges
-- params: {rows} what is read: columns, or a count
-- invariant: the edges that are of no record, and name no identifier, of who is erased
SELECT {rows} FROM kinfold._run.rows AS t
LEFT ANTI JOIN kinfold._run.records AS r ON t.source = r.source AND t.record_id = r.record_id
LEFT ANTI JOIN kinfold._run.identifiers AS i ON t.id_type = i.id_type AND t.id_value = i.id_value
