-- name: not_null
-- params: model (the tested relation), column_name (an expression over its columns)
-- invariant: one row for each row of the relation where the column is null
select {{ column_name }} as null_value
from {{ model }}
where {{ column_name }} is null
