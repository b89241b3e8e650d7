-- name: expect_column_values_to_match_like_pattern
-- params: model (the tested relation), column_name (an expression over its columns), like_pattern (with %
--         and _), row_condition (SQL; rows of which it is not true are not looked at)
-- invariant: one row for each row whose text does not match; null is no text
select {{ column_name }} as unexpected_value
from {{ model }}
where {{ column_name }} not like '{{ like_pattern | replace("'", "''") }}' and ({{ row_condition or 'true' }})
