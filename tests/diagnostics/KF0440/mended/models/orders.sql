SELECT
  7 AS order_id,
  CAST('2026-01-01' AS TIMESTAMP) AS ordered_at,
  CAST(12.5 AS DECIMAL(10, 2)) AS amount
