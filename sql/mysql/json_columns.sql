-- name: json_columns
-- params: {database}, {table}: text in quotes
-- invariant: only for MariaDB, where a JSON column is one of text that is checked
SELECT CHECK_CLAUSE
FROM information_schema.CHECK_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = {database} AND TABLE_NAME = {table}
