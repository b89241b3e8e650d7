SELECT customer_id, max(placed_on) AS last_placed_on, sum(amount) AS total
FROM {{ ref('orders') }}
GROUP BY customer_id
