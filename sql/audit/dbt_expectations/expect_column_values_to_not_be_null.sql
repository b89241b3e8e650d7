-- name: expect_column_values_to_not_be_null
-- params: model (the tested relation), column_name (an expression over its columns), row_condition (SQL;
--         rows of which it is not true are not looked at)
-- invariant: one row for each row where the column is null
select {{ column_name }} as null_value
from {{ model }}
where {{ column_name }} is null and ({{ row_condition or 'true' }})
