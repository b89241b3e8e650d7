with expected as (
    select 'a' as k, '1,5' as v, 1 as n
    union all
    select 'b', 'x;y', 2
)
(select * from expected except select * from {{ ref('semicolons') }})
union all
(select * from {{ ref('semicolons') }} except select * from expected)
