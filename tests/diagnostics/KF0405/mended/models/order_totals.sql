WITH sums AS (SELECT customer_id, sum(amount) AS total FROM {{ ref('orders') }} GROUP BY customer_id),
totals AS (SELECT customer_id, total FROM sums)
SELECT customer_id, total FROM totals
