SELECT o.order_id, coalesce(o.customer_id, c.customer_id) AS customer_id, c.city
FROM {{ ref('orders') }} AS o
FULL JOIN {{ ref('customers') }} AS c ON c.customer_id = o.customer_id
