-- name: unique_keys
-- params: {database}, {table}: text in quotes
-- invariant: one row per part of a unique index; a part that is not a whole column has no name
SELECT INDEX_NAME, CASE WHEN SUB_PART IS NULL THEN COLUMN_NAME END
FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = {database} AND TABLE_NAME = {table} AND NON_UNIQUE = 0
