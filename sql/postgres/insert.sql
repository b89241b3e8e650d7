-- name: insert
-- params: $1 the rows as a JSON array of objects, destination column → value
-- invariant: all rows are added or none is
INSERT INTO {table} ({columns})
SELECT {row_columns}
FROM jsonb_to_recordset($1::text::jsonb) AS x({definitions})
