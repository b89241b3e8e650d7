-- 69,659 purchases of 23,570 customers: the size of the history, and nothing lost on the way.
SELECT
    count(*) AS customers,
    sum(purchases) AS purchases
FROM {{ ref('customer_profile') }}
HAVING count(*) <> 23570 OR sum(purchases) <> 69659
