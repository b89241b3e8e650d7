SELECT order_id
FROM {{ ref('orders') }} TABLESAMPLE (10 PERCENT)
