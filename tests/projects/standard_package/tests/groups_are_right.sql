with expected as (
    select 'x' as person, 'new' as newest, 3 as score, 3 as reversed
    union all
    select 'y', 'tie a', 3, 3
)
(select * from expected except select * from {{ ref('groups') }})
union all
(select * from {{ ref('groups') }} except select * from expected)
