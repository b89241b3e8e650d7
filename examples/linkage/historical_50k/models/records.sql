-- Records as they are compared: lower case, names without marks, empty texts null.
select
    'historical_50k' as source,
    unique_id as record_id,
    nullif(regexp_replace(lower(first_name), '[^a-z0-9 ]', '', 'g'), '') as first_name,
    nullif(regexp_replace(lower(surname), '[^a-z0-9 ]', '', 'g'), '') as last_name,
    nullif(regexp_replace(lower(full_name), '[^a-z0-9 ]', '', 'g'), '') as full_name,
    try_cast(dob as date) as born,
    nullif(lower(birth_place), '') as place,
    nullif(lower(postcode_fake), '') as postcode,
    nullif(lower(occupation), '') as occupation,
    cast("cluster" as varchar) as truth
from {{ source('labelled', 'people') }}
