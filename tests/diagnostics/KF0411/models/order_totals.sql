SELECT order_id, amount
FROM {{ ref('orders') }} TABLESAMPLE (10 PERCENT)
