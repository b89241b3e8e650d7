with visits as (

    select
        guest_id,
        min(opened_on) as first_visit,
        max(opened_on) as last_visit,
        count(ticket_id) as visits,
        sum(amount) as lifetime_amount
    from {{ ref('tickets') }}
    group by guest_id

)

select
    guests.guest_id,
    guests.first_name,
    guests.last_name,
    visits.first_visit,
    visits.last_visit,
    visits.visits,
    visits.lifetime_amount
from {{ ref('stg_guests') }} as guests
left join visits on guests.guest_id = visits.guest_id
