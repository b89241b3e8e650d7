SELECT order_id, '{{ var('country', 'de') | upper }}' AS country
FROM {{ ref('orders') }}
