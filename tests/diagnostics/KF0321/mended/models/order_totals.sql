SELECT order_id, amount
FROM {{ ref('stg_orders_v2') }}
