SELECT
    ordr_id,
    upper(custmer) AS customer
FROM {{ ref('orders') }}
WHERE placed > '2026-01-01'
