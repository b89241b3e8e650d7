select coalesce(a.source, e.source) as source, coalesce(a.record_id, cast(e.record_id as varchar)) as record_id, a.rule
from (select * from {{ ref('person__edges') }} where not accepted) as a
full outer join {{ ref('refusals') }} as e
    on a.source = e.source and a.record_id = cast(e.record_id as varchar) and a.id_type = e.id_type and a.rule = e.rule
where a.source is null or e.source is null
