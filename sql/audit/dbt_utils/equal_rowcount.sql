-- name: equal_rowcount
-- params: model (the tested relation), compare_model (another relation), group_by_columns (columns of both
--         within which it has to hold)
-- invariant: one row for each group that has another number of rows in the other relation
{% set columns = group_by_columns | default([], true) -%}
{% set within = columns | join(', ') -%}

{% if within -%}
select
    {%- for column in columns %} coalesce(ours.{{ column }}, theirs.{{ column }}) as {{ column }},{% endfor %} rows_here, rows_there
from (select {{ within }}, count(*) as rows_here from {{ model }} group by {{ within }}) as ours
full join (select {{ within }}, count(*) as rows_there from {{ compare_model }} group by {{ within }}) as theirs
    on {% for column in columns %}{% if not loop.first %} and {% endif %}ours.{{ column }} = theirs.{{ column }}{% endfor %}
where rows_here is distinct from rows_there
{%- else -%}
select ours.n as rows_here, theirs.n as rows_there
from (select count(*) as n from {{ model }}) as ours
cross join (select count(*) as n from {{ compare_model }}) as theirs
where ours.n <> theirs.n
{%- endif %}
