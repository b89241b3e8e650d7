-- name: expect_column_value_lengths_to_equal
-- params: model (the tested relation), column_name (an expression over its columns), value (how many
--         characters), row_condition (SQL; rows of which it is not true are not looked at)
-- invariant: one row for each row whose text has another number of characters
select {{ column_name }} as unexpected_value
from {{ model }}
where length({{ column_name }}) <> {{ value }} and ({{ row_condition or 'true' }})
