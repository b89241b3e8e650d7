SELECT order_id
FROM {{ ref('orders') }}
WHERE placed_on >= '{{ var('first_day') }}'
