select reason, id_value from {{ ref('person__alarms') }}
where not (reason = 'hub' and id_value = 'till@shop.example' and size = 4)
    and not (reason = 'limit_overridden' and size = 1)
    and not (reason = 'limit' and id_value = 'tablet' and size = 2)
union all
select 'alarms', cast(count(*) as varchar) from {{ ref('person__alarms') }} having count(*) <> 3
