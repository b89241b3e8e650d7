-- name: expect_column_pair_values_a_to_be_greater_than_b
-- params: model (the tested relation), column_A, column_B (two columns), or_equal (whether they may be
--         equal; false unless given), row_condition (SQL; rows of which it is not true are not looked at)
-- invariant: one row for each row where the first is not greater; null is no value
select {{ column_A }} as first_value, {{ column_B }} as second_value
from {{ model }}
where {{ column_A }} {{ '<' if or_equal else '<=' }} {{ column_B }} and ({{ row_condition or 'true' }})
