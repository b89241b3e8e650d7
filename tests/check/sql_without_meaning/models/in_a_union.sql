SELECT order_id FROM {{ ref('orders') }}
UNION ALL
SELECT orderid FROM {{ ref('orders') }}
