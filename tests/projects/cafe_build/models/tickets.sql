{% set means = ['cash', 'card'] %}

with receipts as (

    select
        ticket_id,

        {% for m in means -%}
        sum(case when means = '{{ m }}' then amount else 0 end) as {{ m }}_amount,
        {% endfor -%}

        sum(amount) as total_amount
    from {{ ref('stg_receipts') }}
    group by ticket_id

)

select
    tickets.ticket_id,
    tickets.guest_id,
    tickets.opened_on,
    tickets.state,

    {% for m in means -%}

    coalesce(receipts.{{ m }}_amount, 0) as {{ m }}_amount,

    {% endfor -%}

    coalesce(receipts.total_amount, 0) as amount
from {{ ref('stg_tickets') }} as tickets
left join receipts on tickets.ticket_id = receipts.ticket_id
