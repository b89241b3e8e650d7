select
    id as receipt_id,
    ticket_id,
    means,
    -- cents to euros
    cents / 100.0 as amount
from {{ ref('raw_receipts') }}
