SELECT order_id, '{{ var('country', 'de') | uper }}' AS country
FROM {{ ref('orders') }}
