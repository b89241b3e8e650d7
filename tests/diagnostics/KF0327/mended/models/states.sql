{% set states = ['open', 'paid'] %}
SELECT
{%- for state in states %}
    count(*) FILTER (WHERE state = '{{ state }}') AS orders_{{ state }}{% if not loop.last %},{% endif %}
{%- endfor %}
FROM {{ ref('orders') }}
