-- name: upsert
-- params: {rows}: the rows, each in parentheses
-- invariant: fails if a row meets another row than that of its key: `~0 + 1` is out of range, so {same_key} must hold
INSERT INTO {table} ({columns})
VALUES {rows}
ON DUPLICATE KEY UPDATE {first} = IF(~0 + (NOT ({same_key})) IS NULL, {first}, {first_value}){others}
