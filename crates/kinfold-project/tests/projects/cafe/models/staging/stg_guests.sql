select * from {{ ref('raw_guests') }}
