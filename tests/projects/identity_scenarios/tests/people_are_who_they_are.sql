with both as (
    select
        coalesce(p.id_type, e.id_type) as id_type,
        coalesce(p.id_value, e.id_value) as id_value,
        p.canonical_id,
        e.person
    from {{ ref('person') }} as p
    full outer join {{ ref('people') }} as e on p.id_type = e.id_type and p.id_value = e.id_value
)
select id_type, id_value, 'missing or too many' as problem from both where canonical_id is null or person is null
union all
select 'person', person, 'has several ids' from both group by person having count(distinct canonical_id) > 1
union all
select 'id', canonical_id, 'is several people' from both group by canonical_id having count(distinct person) > 1
