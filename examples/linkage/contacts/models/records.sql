-- Contacts as they are compared: lower case, telephone numbers with the country, of a street its number and first word.
select
    contact_id as record_id,
    lower(trim(first_name)) as first_name,
    lower(trim(last_name)) as last_name,
    lower(trim(email)) as email,
    case
        when phone like '+%' then regexp_replace(phone, '[^0-9+]', '', 'g')
        else '+44' || substr(regexp_replace(phone, '[^0-9]', '', 'g'), 2)
    end as phone,
    try_cast(birth_date as date) as birth_date,
    lower(trim(city)) as city,
    postal_code,
    regexp_match(lower(street), '^([0-9]+ [a-z]+)')[1] as street
from {{ source('crm', 'contacts') }}
