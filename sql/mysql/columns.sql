-- name: columns
-- params: {database}, {table}: text in quotes
-- invariant: one row per column that the account may see, with what it may do with the column
SELECT COLUMN_NAME, LOWER(DATA_TYPE), LOWER(COLUMN_TYPE), COALESCE(GENERATION_EXPRESSION, '') <> '', LOWER(PRIVILEGES)
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = {database} AND TABLE_NAME = {table}
