{% set total %}
    sum(amuont)
{% endset %}
SELECT {{ total }} AS total
FROM {{ ref('orders') }}
