SELECT customer
FROM {{ ref('orders') }} AS a
INNER JOIN {{ ref('orders') }} AS b ON a.order_id = b.order_id
