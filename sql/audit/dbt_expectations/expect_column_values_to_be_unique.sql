-- name: expect_column_values_to_be_unique
-- params: model (the tested relation), column_name (an expression over its columns), row_condition (SQL;
--         rows of which it is not true are not looked at)
-- invariant: one row for each value that occurs more than once; null is no value
select {{ column_name }} as unique_value, count(*) as occurrences
from {{ model }}
where {{ column_name }} is not null and ({{ row_condition or 'true' }})
group by {{ column_name }}
having count(*) > 1
