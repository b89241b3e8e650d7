-- name: erase.named
-- params: {rows} what is read: columns, or a count
-- invariant: the rows that neither have an id, nor name an identifier, of who is erased
SELECT {rows} FROM kinfold._run.rows AS t
LEFT ANTI JOIN kinfold._run.people AS p ON t.canonical_id = p.canonical_id
LEFT ANTI JOIN kinfold._run.identifiers AS i ON t.id_type = i.id_type AND t.id_value = i.id_value
