SELECT order_id
FROM {{ ref('orders') }}
{% include 'macros/parts/counted.sql' %}
