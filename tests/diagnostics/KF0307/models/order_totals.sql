SELECT order_id, {{ nested('amount') }} AS amount
FROM {{ ref('orders') }}
