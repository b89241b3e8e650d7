SELECT customer_id, amount
FROM {{ ref('orders') }}
ORDER BY amount
LIMIT 10
