-- name: fold
-- params: state (before), outcomes (key_text at most once), $run_id, $mapping
-- invariant: a key without an outcome keeps its row as it is; what the destination has confirmed is
--   replaced only by a newer confirmation
SELECT
    coalesce(o.key_text, s.key_text) AS key_text,
    CASE WHEN o.outcome = 'delivered' THEN o.payload_hash ELSE s.payload_hash END AS payload_hash,
    CASE
        WHEN o.outcome IS NULL THEN s.status
        WHEN o.outcome = 'settled' THEN 'delivered'
        ELSE o.outcome
    END AS status,
    CASE
        WHEN o.outcome = 'delivered' THEN false
        WHEN o.outcome = 'unknown' THEN true
        ELSE coalesce(s.uncertain, false)
    END AS uncertain,
    CASE
        WHEN o.outcome IS NULL THEN s.pending_hash
        WHEN o.outcome IN ('delivered', 'settled') THEN NULL
        ELSE o.payload_hash
    END AS pending_hash,
    CASE
        WHEN o.outcome IS NULL THEN s.pending_operation
        WHEN o.outcome IN ('delivered', 'settled') THEN NULL
        ELSE o.operation
    END AS pending_operation,
    CASE
        WHEN o.outcome IS NULL THEN s.attempts
        WHEN o.outcome IN ('delivered', 'settled') THEN CAST(0 AS INT)
        ELSE coalesce(s.attempts, CAST(0 AS INT)) + CAST(1 AS INT)
    END AS attempts,
    CASE WHEN o.outcome IS NULL THEN s.error_class ELSE o.error_class END AS error_class,
    CASE WHEN o.outcome IS NULL THEN s.error_message ELSE o.error_message END AS error_message,
    CASE
        WHEN o.outcome IS NULL THEN s.first_error_run
        WHEN o.outcome IN ('delivered', 'settled') THEN NULL
        ELSE coalesce(s.first_error_run, $run_id)
    END AS first_error_run,
    CASE WHEN o.outcome = 'delivered' THEN $run_id ELSE s.last_ack_run END AS last_ack_run,
    CASE WHEN o.outcome = 'delivered' THEN $mapping ELSE s.mapping_version END AS mapping_version
FROM state AS s
FULL JOIN outcomes AS o ON s.key_text = o.key_text
WHERE o.outcome IS NULL
    OR NOT (
        o.outcome = 'forgotten'
        OR (o.outcome = 'delivered' AND o.operation IN ('remove', 'clear'))
    )
