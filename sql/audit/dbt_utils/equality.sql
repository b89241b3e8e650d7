-- name: equality
-- params: model (the tested relation), compare_model (another relation), compare_columns (those that are
--         compared), exclude_columns (or those that are not)
-- invariant: one row for each distinct row that only one of both has
{% set columns = compare_columns | join(', ') if compare_columns else '*' -%}
{% if exclude_columns and not compare_columns %}{% set columns = '* exclude (' ~ exclude_columns | join(', ') ~ ')' %}{% endif -%}
select 'only here' as side, missing_there.*
from (select {{ columns }} from {{ model }} except select {{ columns }} from {{ compare_model }}) as missing_there
union all
select 'only there' as side, missing_here.*
from (select {{ columns }} from {{ compare_model }} except select {{ columns }} from {{ model }}) as missing_here
