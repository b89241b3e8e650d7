SELECT o.order_id, o.customer_id, c.city
FROM {{ ref('orders') }} AS o
LEFT JOIN {{ ref('customers') }} AS c ON c.customer_id = o.customer_id
