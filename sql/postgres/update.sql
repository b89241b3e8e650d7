-- name: update
-- params: $1 the rows as a JSON array of objects, destination column → value, and {ordinal}: the row's index in its batch
-- invariant: the ordinals that come back are those of the rows that exist
UPDATE {table} AS t
SET {assignments}
FROM jsonb_to_recordset($1::text::jsonb) AS x({definitions}, {ordinal} bigint)
WHERE {match}
RETURNING x.{ordinal}
