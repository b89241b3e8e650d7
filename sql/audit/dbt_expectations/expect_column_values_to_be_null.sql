-- name: expect_column_values_to_be_null
-- params: model (the tested relation), column_name (an expression over its columns), row_condition (SQL;
--         rows of which it is not true are not looked at)
-- invariant: one row for each row where the column is not null
select {{ column_name }} as unexpected_value
from {{ model }}
where {{ column_name }} is not null and ({{ row_condition or 'true' }})
