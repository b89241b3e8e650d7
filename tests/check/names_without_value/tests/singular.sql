SELECT order_id
FROM {{ ref('order') }}
WHERE amount < 0
