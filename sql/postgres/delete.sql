-- name: delete
-- params: {rows} x: the keys of the batch, from JSON or from a temporary table
-- invariant: only rows with exactly these keys go; a row that is gone already is no error
DELETE FROM {table} AS t
USING {rows}
WHERE {match}
