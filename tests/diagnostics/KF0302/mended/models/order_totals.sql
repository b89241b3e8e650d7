{% set statuses = ['paid', 'refunded'] %}
SELECT order_id
FROM {{ ref('orders') }}
{% for status in statuses %}
-- {{ status }}
{% endfor %}
