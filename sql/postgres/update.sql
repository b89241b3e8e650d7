-- name: update
-- params: {rows} x: the rows of the batch, with {ordinal}: the row's index in its batch
-- invariant: the ordinals that come back are those of the rows that exist
UPDATE {table} AS t
SET {assignments}
FROM {rows}
WHERE {match}
RETURNING x.{ordinal}
