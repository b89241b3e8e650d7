SELECT
  7 AS order_id,
  '2026-01-01' AS ordered_at,
  'web' AS channel
