select count(*) as days
from {{ ref('days') }}
having count(*) <> 4
    or min(date_day) <> timestamp '2024-02-27 00:00:00'
    or max(date_day) <> timestamp '2024-03-01 00:00:00'
