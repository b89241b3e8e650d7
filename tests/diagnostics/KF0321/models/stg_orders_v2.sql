SELECT order_id, amount, customer_id FROM {{ ref('orders') }}
