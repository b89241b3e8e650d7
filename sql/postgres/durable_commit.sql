-- name: durable_commit
-- params: none
-- invariant: this transaction's commit returns only after it is durable; stronger settings stay as they are
SELECT set_config('synchronous_commit', 'on', true)
WHERE current_setting('synchronous_commit') = 'off'
