SELECT order_id, coalese(amount, 0) AS amount
FROM {{ ref('orders') }}
