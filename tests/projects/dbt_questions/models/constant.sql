{#- A query that reads nothing is answered without the lake. -#}
{%- set days = run_query("select " ~ dbt.datediff("'2026-01-30'", "'2026-02-02'", 'day'))[0][0] if execute else 0 -%}
select {{ days }} as days, '{{ adapter.get_relation(database, target.schema, "sales").identifier }}' as seen,
    '{{ adapter.get_relation(database, target.schema, "no_such_table") }}' as unseen,
    '{{ load_relation(this) }}' as own
