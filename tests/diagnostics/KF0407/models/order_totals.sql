SELECT order_id, amount + placed_on AS due
FROM {{ ref('orders') }}
