-- name: equal_rowcount
-- params: model (the tested relation), compare_model (another relation), group_by_columns (columns of both
--         within which it has to hold)
-- invariant: one row for each group that has another number of rows in the other relation
{% set within = group_by_columns | default([], true) | join(', ') -%}

{% if within -%}
select *
from (select {{ within }}, count(*) as rows_here from {{ model }} group by {{ within }}) as ours
full join (select {{ within }}, count(*) as rows_there from {{ compare_model }} group by {{ within }}) as theirs
    using ({{ within }})
where rows_here is distinct from rows_there
{%- else -%}
select ours.n as rows_here, theirs.n as rows_there
from (select count(*) as n from {{ model }}) as ours
cross join (select count(*) as n from {{ compare_model }}) as theirs
where ours.n <> theirs.n
{%- endif %}
