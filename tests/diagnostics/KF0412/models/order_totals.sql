SELECT o.order_id, c.email
FROM {{ ref('orders') }} AS o
JOIN {{ ref('customers') }} AS c
WHERE o.amount > 100
