{#- What a macro gives, and what dbt gives with its adapter for DuckDB. -#}
{%- set cases = [
    (dbt.dateadd('day', 1, 'd'), "timestamp '2024-01-01 00:00:00'"),
    (dbt.dateadd('week', 2, 'ts'), "timestamp '2024-03-14 13:45:10'"),
    (dbt.dateadd('month', -1, 'ts'), "timestamp '2024-01-29 13:45:10'"),
    (dbt.dateadd('quarter', 1, 'ts'), "timestamp '2024-05-29 13:45:10'"),
    (dbt.dateadd('year', 1, 'ts'), "timestamp '2025-02-28 13:45:10'"),
    (dbt.dateadd('hour', 5, 'ts'), "timestamp '2024-02-29 18:45:10'"),
    (dbt.dateadd('minute', 5, 'ts'), "timestamp '2024-02-29 13:50:10'"),
    (dbt.dateadd(datepart='second', interval=5, from_date_or_timestamp='ts'), "timestamp '2024-02-29 13:45:15'"),
    (dbt.dateadd('day', 'n', 'd'), "timestamp '2024-01-03 00:00:00'"),
    (dbt.dateadd('month', 'n + 1', 'd'), "timestamp '2024-04-30 00:00:00'"),
    (dbt.dateadd('quarter', '-n', 'd'), "timestamp '2023-03-31 00:00:00'"),
    (dbt.datediff('d', 'ts', 'second'), '5233510'),
    (dbt.datediff('d', 'ts', 'minute'), '87225'),
    (dbt.datediff('d', 'ts', 'hour'), '1453'),
    (dbt.datediff('d', 'ts', 'day'), '60'),
    (dbt.datediff('d', 'ts', 'week'), '8'),
    (dbt.datediff('d', 'ts', 'month'), '2'),
    (dbt.datediff('d', 'ts', 'quarter'), '1'),
    (dbt.datediff('d', 'ts', 'year'), '1'),
    (dbt.datediff('ts', 'd', 'day'), '-60'),
    (dbt.datediff('ts', 'd', 'week'), '-8'),
    (dbt.datediff('ts', 'd', 'month'), '-2'),
    (dbt.datediff("'2024-01-01'", "'2024-03-01'", 'day'), '60'),
    (dbt.date_trunc('day', 'ts'), "timestamp '2024-02-29 00:00:00'"),
    (dbt.date_trunc('week', 'ts'), "timestamp '2024-02-26 00:00:00'"),
    (dbt.date_trunc('month', 'ts'), "timestamp '2024-02-01 00:00:00'"),
    (dbt.date_trunc('quarter', 'd'), "timestamp '2023-10-01 00:00:00'"),
    (dbt.last_day('ts', 'month'), "date '2024-02-29'"),
    (dbt.last_day('d', 'quarter'), "date '2023-12-31'"),
    (dbt.last_day('ts', 'year'), "date '2024-12-31'"),
    (dbt.date(2024, 2, 29), "date '2024-02-29'"),
] -%}
with given as (
    select timestamp '2024-02-29 13:45:10' as ts, date '2023-12-31' as d, 3 as n
)
{% for found, expected in cases %}
select {{ loop.index }} as number, ({{ found }}) is not distinct from ({{ expected }}) as equal from given
{%- if not loop.last %} union all {%- endif %}
{%- endfor %}
