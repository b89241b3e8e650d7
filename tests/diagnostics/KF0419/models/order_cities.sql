SELECT *
FROM {{ ref('orders') }} AS o
FULL JOIN {{ ref('customers') }} AS c USING (customer_id)
