with expected as (
    select true as active, 1 as any_value, true as bool_or, 'Cleo; Ann' as listagg, 'Ann' as first_name
    union all
    select false, 1, false, 'Bob', 'Bob'
    union all
    select null, 1, true, null, null
)
(select * from expected except select * from {{ ref('groups') }})
union all
(select * from {{ ref('groups') }} except select * from expected)
