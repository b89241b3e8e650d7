-- name: insert
-- params: {rows}: the rows, each in parentheses
-- invariant: all rows are added or none is
INSERT INTO {table} ({columns})
VALUES {rows}
