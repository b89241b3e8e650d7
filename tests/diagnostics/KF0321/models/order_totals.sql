SELECT order_id, amount
FROM {{ ref('stg_orders', v=2) }}
