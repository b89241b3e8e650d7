SELECT order_id, amount
FROM {{ ref('orders') }}
