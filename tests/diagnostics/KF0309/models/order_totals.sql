SELECT order_id
FROM {{ ref('orders') }}
LIMIT {{ var('days', 'seven') + 1 }}
