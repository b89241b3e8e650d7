-- name: upsert
-- params: $1 the rows as a JSON array of objects, destination column → value
-- invariant: {key} is exactly the columns of a unique index, and no key occurs twice in $1
INSERT INTO {table} ({columns})
SELECT {row_columns}
FROM jsonb_to_recordset($1::text::jsonb) AS x({definitions})
ON CONFLICT ({key}) DO {on_conflict}
