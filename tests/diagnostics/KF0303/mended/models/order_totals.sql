SELECT order_id, {{ cents_to_euros('amount') }} AS euros
FROM {{ ref('orders') }}
