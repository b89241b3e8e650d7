SELECT order_id, amount
FROM {{ ref('orders') }}
WHERE order_id % 10 = 0
