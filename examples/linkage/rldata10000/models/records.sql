-- Records as they are compared: lower case, empty texts null.
select
    'RLdata10000' as source,
    cast(id as varchar) as record_id,
    nullif(lower(fname_c1), '') as first_name,
    nullif(lower(fname_c2), '') as second_name,
    nullif(lower(lname_c1), '') as last_name,
    nullif(lower(lname_c2), '') as second_last_name,
    cast("by" as varchar) as "year",
    cast(bm as varchar) as "month",
    cast(bd as varchar) as "day",
    cast("cluster" as varchar) as truth
from {{ source('labelled', 'people') }}
