SELECT order_id FROM {{ ref('orders') }}
