-- name: read
-- params: $1 the keys as a JSON array of objects, destination column → value, and {ordinal}: the key's index
-- invariant: changes nothing; a key without a row gives no row, and the ordinals are those of the keys
SELECT x.{ordinal}, row_to_json(r.*)::text AS fields
FROM jsonb_to_recordset($1::text::jsonb) AS x({definitions}, {ordinal} bigint)
JOIN {table} AS t ON {match}
CROSS JOIN LATERAL (SELECT {columns}) AS r
