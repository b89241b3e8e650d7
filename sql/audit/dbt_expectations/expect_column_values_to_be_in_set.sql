-- name: expect_column_values_to_be_in_set
-- params: model (the tested relation), column_name (an expression over its columns), value_set (a list),
--         quote_values (whether the values are text; true unless given), row_condition (SQL; rows of which
--         it is not true are not looked at)
-- invariant: one row for each row whose value is not in the list; null is no value
select {{ column_name }} as unexpected_value
from {{ model }}
where {{ column_name }} not in (
{%- for value in value_set -%}
{%- if (quote_values is none or quote_values) and value is not boolean -%} '{{ value | string | replace("'", "''") }}' {%- else -%} {{ value }} {%- endif -%}
{%- if not loop.last %}, {% endif -%}
{%- endfor -%}
) and ({{ row_condition or 'true' }})
