SELECT *
FROM {{ ref('orders') }} AS o
LEFT JOIN {{ ref('customers') }} AS c USING (customer_id)
