{% set column = 'amuont' %}
SELECT {{ column }}
FROM {{ ref('orders') }}
