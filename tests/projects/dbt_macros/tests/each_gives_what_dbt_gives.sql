select 'moments' as model, number from {{ ref('moments') }} where not equal
union all
select 'texts' as model, number from {{ ref('texts') }} where not equal
