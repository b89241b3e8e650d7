-- name: erase.person
-- params: {rows} what is read: columns, or a count
-- invariant: of a table with canonical ids, the rows that are nobody's who is erased
SELECT {rows} FROM kinfold._run.rows AS t
LEFT ANTI JOIN kinfold._run.people AS p ON CAST(t.canonical_id AS VARCHAR) = p.canonical_id
