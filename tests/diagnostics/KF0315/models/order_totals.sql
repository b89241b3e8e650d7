SELECT order_id
FROM {{ ref('orders') }}
WHERE placed_on >= '{{ var('frist_day') }}'
