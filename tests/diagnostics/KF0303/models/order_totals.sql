SELECT order_id, {{ cents_to_euro('amount') }} AS euros
FROM {{ ref('orders') }}
