SELECT customer_id, 1 AS order_id FROM {{ ref('orders') }}
