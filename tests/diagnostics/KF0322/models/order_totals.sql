SELECT order_id, '﷐' AS mark
FROM {{ ref('orders') }}
