SELECT order_id FROM {{ ref('orders') }}
WHERE customer = '{{ env_var('NOBODY_SETS_THIS') }}'
