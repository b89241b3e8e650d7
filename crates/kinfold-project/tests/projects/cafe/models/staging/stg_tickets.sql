select * from {{ ref('raw_tickets') }}
