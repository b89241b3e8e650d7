-- name: expect_column_sum_to_be_between
-- params: model (the tested relation), column_name (an expression over its columns), min_value, max_value
--         (SQL, either may be missing), strictly (whether the bounds themselves are outside; false unless
--         given), row_condition (SQL; rows of which it is not true are not looked at)
-- invariant: one row if the sum is outside
select sum({{ column_name }}) as found
from {{ model }}
where ({{ row_condition or 'true' }})
having false
{%- if min_value is not none %} or sum({{ column_name }}) {{ '<=' if strictly else '<' }} {{ min_value }}{% endif %}
{%- if max_value is not none %} or sum({{ column_name }}) {{ '>=' if strictly else '>' }} {{ max_value }}{% endif %}
