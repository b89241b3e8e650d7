select 'results' as what from {{ ref('results') }}
where last_name <> 'Bo' or flavour <> 'project' or nearest <> 'postgres' or ours <> 'dates'
   or joined <> 'shim ab' or bare <> 'shim cd' or pairs <> 'x=X,y=Y'
union all
select 'recent' from {{ ref('recent') }} where days <> 7 or unit <> 'week'
union all
select 'weekdays' from (select count(*) as n from {{ ref('dates', 'weekdays') }}) where n <> 2
