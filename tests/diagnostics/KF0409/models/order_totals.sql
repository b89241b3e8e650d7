SELECT customer_id, amount
FROM {{ ref('orders') }}
ORDER BY amount
FETCH FIRST 10 ROWS WITH TIES
