SELECT order_id, {{ cents_to_euros('amount', 2) }} AS euros
FROM {{ ref('orders') }}
