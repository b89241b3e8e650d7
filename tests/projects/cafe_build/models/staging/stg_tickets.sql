select id as ticket_id, guest_id, opened_on, state from {{ ref('raw_tickets') }}
