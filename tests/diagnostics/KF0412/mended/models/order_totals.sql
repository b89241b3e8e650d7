SELECT o.order_id, c.email
FROM {{ ref('orders') }} AS o
JOIN {{ ref('customers') }} AS c ON c.customer_id = o.customer_id
WHERE o.amount > 100
