-- name: unique_combination_of_columns
-- params: model (the tested relation), combination_of_columns (a list), quote_columns (whether they are
--         quoted; false unless given)
-- invariant: one row for each combination that occurs more than once; null is a value
{% set columns -%}
{% for column in combination_of_columns %}{{ '"' ~ column ~ '"' if quote_columns else column }}{% if not loop.last %}, {% endif %}{% endfor %}
{%- endset -%}
select {{ columns }}, count(*) as occurrences
from {{ model }}
group by {{ columns }}
having count(*) > 1
