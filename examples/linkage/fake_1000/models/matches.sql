select
    'fake_1000' as source,
    unique_id as record_id,
    lower(trim(first_name)) as first_name,
    lower(trim(surname)) as surname,
    try_cast(dob as date) as dob,
    lower(trim(city)) as city,
    lower(trim(email)) as email
from {{ ref('fake_1000') }}
