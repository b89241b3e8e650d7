{#- One column for each kind that `sales` has: known when `sales` is built. -#}
select
    {% for kind in values_of(ref('sales'), 'kind') -%}
    sum(case when kind = '{{ kind }}' then amount end) as amount_{{ kind }},
    {% endfor -%}
    count(*) as n
from {{ ref('sales') }}
