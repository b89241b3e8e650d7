-- Records as they are compared: lower case, empty texts null.
select
    'febrl2' as source,
    rec_id as record_id,
    nullif(lower(trim(given_name)), '') as first_name,
    nullif(lower(trim(surname)), '') as last_name,
    nullif(trim(cast(street_number as varchar)), '') as number,
    nullif(lower(trim(address_1)), '') as address,
    nullif(lower(trim(address_2)), '') as address_2,
    nullif(lower(trim(suburb)), '') as suburb,
    nullif(trim(cast(postcode as varchar)), '') as postcode,
    nullif(lower(trim(state)), '') as state,
    nullif(trim(cast(date_of_birth as varchar)), '') as born,
    nullif(trim(cast(soc_sec_id as varchar)), '') as ssn,
    split_part(rec_id, '-', 2) as truth
from {{ source('labelled', 'people') }}
