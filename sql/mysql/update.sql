-- name: update
-- params: {assignments} and {match} with the values of one row, or of rows that get the same values
-- invariant: the number of rows that comes back is that of the rows found, changed or not
UPDATE {table}
SET {assignments}
WHERE {match}
