SELECT order_id, rond(amount) AS amount
FROM {{ ref('orders') }}
