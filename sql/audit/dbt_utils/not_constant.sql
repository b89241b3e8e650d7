-- name: not_constant
-- params: model (the tested relation), column_name (an expression over its columns), group_by_columns
--         (columns within which it has to hold; the whole relation if not given)
-- invariant: one row for each group with only one value; null is no value
{% set within = group_by_columns | default([], true) | join(', ') -%}

select {% if within %}{{ within }}, {% endif %}count(distinct {{ column_name }}) as different
from {{ model }}
{% if within %}group by {{ within }}{% endif %}
having count(distinct {{ column_name }}) = 1
