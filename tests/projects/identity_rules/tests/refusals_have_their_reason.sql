with refused as (
    select source, record_id, id_type, id_value, rule from {{ ref('person__edges') }} where not accepted
)
select * from refused
except
select source, record_id, id_type, id_value, rule from {{ ref('refusals') }}
union all
select source, record_id, id_type, id_value, rule || ' is missing' from (
    select source, record_id, id_type, id_value, rule from {{ ref('refusals') }}
    except
    select * from refused
)
