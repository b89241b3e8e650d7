SELECT a.order_id
FROM {{ ref('orders') }} AS a
INNER JOIN {{ ref('orders') }} AS b
