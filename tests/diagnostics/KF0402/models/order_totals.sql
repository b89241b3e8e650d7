SELECT order_id, amonut
FROM {{ ref('orders') }}
