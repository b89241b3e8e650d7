-- name: load
-- params: state (a sync's state)
-- invariant: every row, older ones of the same key included; the reader keeps the newest of each key
SELECT
    key_hash, ordinal, status, payload_hash, row_digest, ours, uncertain, mapping_version,
    pending_hash, attempts, next_try, first_error_run
FROM state
