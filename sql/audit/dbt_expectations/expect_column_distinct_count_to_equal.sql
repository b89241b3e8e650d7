-- name: expect_column_distinct_count_to_equal
-- params: model (the tested relation), column_name (an expression over its columns), value (how many
--         different values), row_condition (SQL; rows of which it is not true are not looked at)
-- invariant: one row if there is another number of different values; null is no value
select count(distinct {{ column_name }}) as found
from {{ model }}
where ({{ row_condition or 'true' }})
having count(distinct {{ column_name }}) <> {{ value }}
