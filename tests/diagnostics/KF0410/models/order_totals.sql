SELECT order_id FROM {{ ref('orders') }}
UNION ALL
SELECT order_id, amount FROM {{ ref('orders') }}
