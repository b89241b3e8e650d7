-- name: recency
-- params: model (the tested relation), field (a date or time), datepart, interval (how long ago the last one
--         may be), ignore_time_component (whether days are compared; false unless given), group_by_columns
--         (columns within which it has to hold; the whole relation if not given)
-- invariant: one row for each group whose last time is longer ago, seen from the run's clock, or that has
--         none
{% set within = group_by_columns | default([], true) | join(', ') -%}

{% set since = dbt.dateadd(datepart, '-' ~ interval, 'now()') -%}
{% set day = ignore_time_component is not none and ignore_time_component -%}
select {% if within %}{{ within }}, {% endif %}max({{ field }}) as last_time
from {{ model }}
{% if within %}group by {{ within }}{% endif %}
having max({{ field }}) is null
    or cast(max({{ field }}) as {{ 'date' if day else 'timestamp' }}) < cast({{ since }} as {{ 'date' if day else 'timestamp' }})
