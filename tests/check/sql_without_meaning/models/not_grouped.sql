SELECT customer, amount, count(*) AS n
FROM {{ ref('orders') }}
GROUP BY customer
