with source as (

    {#- The seed is enough here; a real project reads a source. #}
    select * from {{ ref('raw_guests') }}

)

select id as guest_id, first_name, last_name from source
