SELECT order_id, amount
FROM {{ ref('orders') }}
{% include 'macros/parts/only_piad.sql' %}
