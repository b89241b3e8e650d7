{% set means = ['cash', 'card'] %}
select t.id as ticket_id, t.guest_id
{% for m in means -%}
, sum(case when r.means = '{{ m }}' then cents end) as {{ m }}_cents
{% endfor %}
from {{ ref('stg_tickets') }} t join {{ ref('stg_receipts') }} r on r.ticket_id = t.id group by 1, 2
