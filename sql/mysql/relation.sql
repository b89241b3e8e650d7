-- name: relation
-- params: {database}, {table}: text in quotes
-- invariant: tables and views that the account may see; names may come that differ in letter case
SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, COALESCE(e.TRANSACTIONS, 'NO'), VERSION(), @@max_allowed_packet
FROM information_schema.TABLES AS t
LEFT JOIN information_schema.ENGINES AS e ON e.ENGINE = t.ENGINE
WHERE t.TABLE_SCHEMA = {database} AND t.TABLE_NAME = {table}
