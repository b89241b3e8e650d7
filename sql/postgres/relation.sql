-- name: relation
-- params: $1 schema, $2 table
-- invariant: at most one row; privileges are those of the connected account, on any column where columns can have them
SELECT c.oid,
       has_any_column_privilege(c.oid, 'SELECT') AS may_select,
       has_any_column_privilege(c.oid, 'INSERT') AS may_insert,
       has_any_column_privilege(c.oid, 'UPDATE') AS may_update,
       has_table_privilege(c.oid, 'DELETE') AS may_delete,
       has_database_privilege(current_database(), 'TEMPORARY') AS may_stage
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1
  AND c.relname = $2
  AND c.relkind IN ('r', 'p', 'v', 'f')
