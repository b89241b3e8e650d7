SELECT order_id, round(amount) AS amount
FROM {{ ref('orders') }}
