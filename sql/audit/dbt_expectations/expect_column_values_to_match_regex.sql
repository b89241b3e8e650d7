-- name: expect_column_values_to_match_regex
-- params: model (the tested relation), column_name (an expression over its columns), regex (a regular
--         expression), row_condition (SQL; rows of which it is not true are not looked at)
-- invariant: one row for each row whose text nowhere matches; null is no text
select {{ column_name }} as unexpected_value
from {{ model }}
where not regexp_like({{ column_name }}, '{{ regex | replace("'", "''") }}') and ({{ row_condition or 'true' }})
