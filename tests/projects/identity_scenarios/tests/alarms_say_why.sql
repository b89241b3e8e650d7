-- An alarm that is missing, one too many, or one that does not name a person.
select coalesce(a.reason, e.reason) as reason, coalesce(a.id_value, e.id_value) as id_value, a.size
from {{ ref('person__alarms') }} as a
full outer join {{ ref('alarms') }} as e
    on a.reason = e.reason and a.id_type = e.id_type and a.id_value = e.id_value and a.size = e.size
where a.reason is null or e.reason is null or a.canonical_id is null
