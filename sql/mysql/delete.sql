-- name: delete
-- params: {match}: the keys
-- invariant: only rows with exactly these keys go; a row that is gone already is no error
DELETE FROM {table}
WHERE {match}
