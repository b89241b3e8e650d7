SELECT order_id
FROM {{ ref('orders') }}
WHERE placed_on >= '{{ env_var('SHOP_FIRST_DAY') }}'
