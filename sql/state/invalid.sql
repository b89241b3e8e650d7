-- name: invalid
-- params: lines (key_text, reason, rows: what a comparison noted), $run_id
-- invariant: one row for each key and reason
SELECT key_text, reason, sum(rows) AS rows, $run_id AS run_id
FROM lines
GROUP BY key_text, reason
