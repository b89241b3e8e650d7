-- name: insert
-- params: {rows} x: the rows of the batch, from JSON or from a temporary table
-- invariant: all rows are added or none is
INSERT INTO {table} ({columns})
SELECT {row_columns}
FROM {rows}
