SELECT order_id, amount
FROM {{ ref('orders') }}
{% if var('only_paid', false) %}
WHERE amount > 0
