-- name: relationships
-- params: model (the tested relation), column_name (an expression over its columns), to (the
--         relation that is pointed to), field (a column of it)
-- invariant: one row for each row of the relation whose value is not null and not in the field
select child.from_value
from (
    select {{ column_name }} as from_value from {{ model }} where {{ column_name }} is not null
) as child
where not exists (
    select 1 from (select {{ field }} as to_value from {{ to }}) as parent
    where parent.to_value = child.from_value
)
