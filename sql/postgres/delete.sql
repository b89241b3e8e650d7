-- name: delete
-- params: $1 the keys as a JSON array of objects, destination column → value
-- invariant: only rows with exactly these keys go; a row that is gone already is no error
DELETE FROM {table} AS t
USING jsonb_to_recordset($1::text::jsonb) AS x({definitions})
WHERE {match}
