-- name: analyse
-- params: {stage}
-- invariant: the planner knows how few rows there are, and looks each up by its key instead of reading all of the table
ANALYZE pg_temp.{stage}
