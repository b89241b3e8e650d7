WITH sums AS (
    SELECT customer, sum(amont) AS total
    FROM {{ ref('orders') }}
    GROUP BY customer
)

SELECT customer, total FROM sums
