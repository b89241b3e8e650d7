-- name: not_null_proportion
-- params: model (the tested relation), column_name (an expression over its columns), at_least, at_most
--         (shares from 0 to 1; at_most is 1 unless given), group_by_columns (columns within which it has to
--         hold; the whole relation if not given)
-- invariant: one row for each group whose share of values that are not null is outside
{% set within = group_by_columns | default([], true) | join(', ') -%}

select {% if within %}{{ within }}, {% endif %}count({{ column_name }}) * 1.0 / count(*) as share
from {{ model }}
{% if within %}group by {{ within }}{% endif %}
having count(*) > 0
    and not (count({{ column_name }}) * 1.0 / count(*) between {{ at_least }} and {{ at_most if at_most is not none else 1 }})
