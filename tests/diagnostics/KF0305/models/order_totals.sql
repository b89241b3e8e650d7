{% set columns = ['order_id'] %}
{% do columns.push('amount') %}
SELECT {{ columns | join(', ') }}
FROM {{ ref('orders') }}
