-- name: all
-- params: state (a sync's state)
-- invariant: every row with every column, in the order of the table
SELECT
    key_hash, key_text, ordinal, status, payload_hash, ours, uncertain, mapping_version, last_ack_run,
    pending_hash, pending_operation, attempts, next_try, error_class, error_message, first_error_run,
    row_digest
FROM state
