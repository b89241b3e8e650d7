SELECT order_id, rounnd(amount) AS amount
FROM {{ ref('orders') }}
