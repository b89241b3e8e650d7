-- name: expect_table_row_count_to_be_between
-- params: model (the tested relation), min_value, max_value (SQL, either may be missing), strictly (whether
--         the bounds themselves are outside; false unless given), row_condition (SQL; rows of which it is
--         not true are not looked at)
-- invariant: one row if there are more or fewer rows
select count(*) as found
from {{ model }}
where ({{ row_condition or 'true' }})
having false
{%- if min_value is not none %} or count(*) {{ '<=' if strictly else '<' }} {{ min_value }}{% endif %}
{%- if max_value is not none %} or count(*) {{ '>=' if strictly else '>' }} {{ max_value }}{% endif %}
