SELECT order_id, placed_on + INTERVAL '14 days' AS due
FROM {{ ref('orders') }}
