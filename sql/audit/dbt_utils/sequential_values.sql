-- name: sequential_values
-- params: model (the tested relation), column_name (an expression over its columns), interval (the step; 1
--         unless given), datepart (of dates and times), group_by_columns (columns within which it has to
--         hold; the whole relation if not given)
-- invariant: one row for each value that is not a step after the one before
{% set within = group_by_columns | default([], true) | join(', ') -%}

{% set step = interval if interval is not none else 1 -%}
select *
from (
    select
        {{ column_name }} as this_value,
        lag({{ column_name }}) over (
            {% if within %}partition by {{ within }}{% endif %}
            order by {{ column_name }}
        ) as value_before
    from {{ model }}
) as steps
where not (this_value = {% if datepart is not none %}{{ dbt.dateadd(datepart, step, 'value_before') }}{% else %}value_before + {{ step }}{% endif %})
