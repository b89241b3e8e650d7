SELECT customer_id, email, amount
FROM {{ ref('orders') }} AS o
JOIN {{ ref('customers') }} AS c ON c.customer_id = o.customer_id
