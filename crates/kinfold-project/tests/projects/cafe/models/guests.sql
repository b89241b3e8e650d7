select id as guest_id, name, 1 as visits from {{ ref('stg_guests') }}
