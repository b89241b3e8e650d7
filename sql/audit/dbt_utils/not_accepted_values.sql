-- name: not_accepted_values
-- params: model (the tested relation), column_name (an expression over its columns), values (a list), quote
--         (whether the values are text; true unless given)
-- invariant: one row for each value of the list that occurs
select {{ column_name }} as unexpected_value, count(*) as occurrences
from {{ model }}
where {{ column_name }} in (
{%- for value in values -%}
{%- if quote and value is not boolean -%} '{{ value | string | replace("'", "''") }}' {%- else -%} {{ value }} {%- endif -%}
{%- if not loop.last %}, {% endif -%}
{%- endfor -%}
)
group by {{ column_name }}
