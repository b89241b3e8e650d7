SELECT order_id
FROM {{ ref('orders') }}
WHERE {{ last_days(7) }}
