-- name: at_least_one
-- params: model (the tested relation), column_name (an expression over its columns), group_by_columns
--         (columns within which it has to hold; the whole relation if not given)
-- invariant: one row for each group without a value that is not null
{% set within = group_by_columns | default([], true) | join(', ') -%}

select {% if within %}{{ within }}, {% endif %}count({{ column_name }}) as filled
from {{ model }}
{% if within %}group by {{ within }}{% endif %}
having count({{ column_name }}) = 0
