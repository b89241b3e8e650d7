select 'by_kind' as what from {{ ref('by_kind') }} where amount_a <> 20 or amount_b <> 40 or n <> 3
union all
select 'names' from {{ ref('names') }} where amount_b <> 40 or types <> 'bigint bigint bigint'
union all
select 'united' from (select count(*) as n, count(distinct origin) as origins from {{ ref('united') }}) where n <> 5 or origins <> 2
union all
select 'constant' from {{ ref('constant') }} where days <> 3 or seen <> 'sales' or unseen <> 'None' or own <> 'None'
