-- name: columns
-- params: $1 oid of the table
-- invariant: type names can be used in SQL whatever the search path, if this runs with an empty one
SELECT a.attname AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
       a.attgenerated <> '' OR a.attidentity = 'a' AS read_only
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = $1
  AND a.attnum > 0
  AND NOT a.attisdropped
