-- name: compare
-- params: mapped (key_text, payload: what the model says now), state (a sync's state), $once (rows are
--   sent once and never again), $leaving (`remove`, `clear` or `keep`: rows that left the model)
-- invariant: every key of the model and of the state is in exactly one row of the result; nothing is
--   classified as leaving that was not acknowledged
WITH incoming AS (
    SELECT key_text, payload, payload_hash(payload) AS payload_hash, copies, sendable
    FROM (
        SELECT key_text, min(payload) AS payload, count(*) AS copies, count(payload) AS sendable
        FROM mapped
        GROUP BY key_text
    )
)
SELECT
    CASE
        WHEN i.copies IS NULL THEN
            CASE
                WHEN s.payload_hash IS NOT NULL THEN $leaving
                WHEN s.uncertain THEN 'keep'
                ELSE 'forget'
            END
        WHEN i.key_text IS NULL THEN 'invalid_null_key'
        WHEN i.copies > 1 THEN 'invalid_duplicate_key'
        WHEN i.sendable = 0 THEN 'invalid_value'
        WHEN s.payload_hash IS NULL THEN 'add'
        WHEN $once THEN 'unchanged'
        WHEN s.uncertain OR s.payload_hash <> i.payload_hash THEN 'update'
        WHEN s.status = 'delivered' THEN 'unchanged'
        ELSE 'settle'
    END AS class,
    coalesce(i.key_text, s.key_text) AS key_text,
    i.payload AS payload,
    i.payload_hash AS payload_hash,
    coalesce(i.copies, 0) AS copies,
    s.payload_hash IS NOT NULL AS acknowledged
FROM state AS s
FULL JOIN incoming AS i ON s.key_text = i.key_text
