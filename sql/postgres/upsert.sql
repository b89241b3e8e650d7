-- name: upsert
-- params: {rows} x: the rows of the batch, from JSON or from a temporary table
-- invariant: {key} is exactly the columns of a unique index, and no key occurs twice in {rows}
INSERT INTO {table} ({columns})
SELECT {row_columns}
FROM {rows}
ON CONFLICT ({key}) DO {on_conflict}
