{% set states = run_query('SELECT DISTINCT state FROM ' ~ ref('orders')) %}
SELECT
{%- for row in states %}
    count(*) FILTER (WHERE state = '{{ row[0] }}') AS orders_{{ row[0] }}{% if not loop.last %},{% endif %}
{%- endfor %}
FROM {{ ref('orders') }}
