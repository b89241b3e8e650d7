-- name: read
-- params: {match}: one key
-- invariant: changes nothing; a key without a row gives no row
SELECT {columns}
FROM {table}
WHERE {match}
LIMIT 1
