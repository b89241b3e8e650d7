{% set columns = ['order_id'] %}
{% do columns.append('amount') %}
SELECT {{ columns | join(', ') }}
FROM {{ ref('orders') }}
