-- name: read_settings
-- params: none
-- invariant: for this transaction only, values are written as JSON in one way, whatever the account's settings
SELECT set_config('TimeZone', 'UTC', true),
       set_config('bytea_output', 'hex', true),
       set_config('extra_float_digits', '1', true)
