-- name: relationships_where
-- params: model (the tested relation), column_name (an expression over its columns), to (the relation that
--         is pointed to), field (a column of it), from_condition, to_condition (SQL over either relation)
-- invariant: one row for each row whose value is not null and not in the field, as far as the conditions let
--         rows through
select child.from_value
from (
    select {{ column_name }} as from_value
    from {{ model }}
    where {{ column_name }} is not null and ({{ from_condition or 'true' }})
) as child
where not exists (
    select 1
    from (select {{ field }} as to_value from {{ to }} where {{ to_condition or 'true' }}) as parent
    where parent.to_value = child.from_value
)
