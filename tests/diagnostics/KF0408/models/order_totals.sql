SELECT customer_id, placed_on, sum(amount) AS total
FROM {{ ref('orders') }}
GROUP BY customer_id
