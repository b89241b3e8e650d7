{{ config(materialized='incremental', unique_key='id', on_schema_change='append_new_columns') }}
{% call set_sql_header(config) %}create temp function f(){% endcall %}
with numbered as (
    select p.id, p.name, last_value(p.name ignore nulls) over (
        order by p.id rows between unbounded preceding and unbounded following
    ) as last_name
    from {{ source('app', 'people') }} as p
)
select
    id,
    last_name,
    '{{ dates.flavour() }}' as flavour,
    (select nearest from {{ ref('near', 'beside') }}) as nearest,
    '{{ dates.ours() }}' as ours,
    {{ dbt.concat(["'a'", "'b'"]) }} as joined,
    {{ concat(["'c'", "'d'"]) }} as bare,
    '{{ dates.columns_of(["x", "y"]).items() | map("join", "=") | join(",") }}' as pairs,
    {{ 0 if is_incremental() else 1 }} as in_full
from numbered
