SELECT order_id
FROM {{ ref('orders') }}
LIMIT {{ var('days', 7) + 1 }}
