SELECT customer_id, sum(amount) AS total
FROM {{ ref('orders') }}
GROUP BY customer_id
