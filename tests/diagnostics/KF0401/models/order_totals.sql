SELECT customer_id, sum(amount) AS total
FORM {{ ref('orders') }}
GROUP BY customer_id
