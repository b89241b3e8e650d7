{#- What a macro gives, and what dbt gives with its adapter for DuckDB. -#}
{%- set cases = [
    (dbt.concat(['s', "'-'", 's']), "'a,b,c-a,b,c'"),
    (dbt.hash('s'), "'a44c56c8177e32d3613988f4dba7962e'"),
    (dbt.hash('n'), "'eccbc87e4b5ce2fe28308fd9f2a7baf3'"),
    (dbt.length('s'), '5'),
    (dbt.position("'b'", 's'), '3'),
    (dbt.replace('s', "','", "'/'"), "'a/b/c'"),
    (dbt.right('s', 2), "',c'"),
    (dbt.right('s', 0), "''"),
    (dbt.split_part('s', "','", 2), "'b'"),
    (dbt.split_part('s', "','", -1), "'c'"),
    (dbt.string_literal('lit'), "'lit'"),
    ("'" ~ dbt.escape_single_quotes("it's") ~ "'", "'it''s'"),
    (dbt.safe_cast("'12'", dbt.type_int()), '12'),
    (dbt.safe_cast("'abc'", dbt.type_int()), 'null'),
    (dbt.cast('n', dbt.type_string()), "'3'"),
    (dbt.cast('n', dbt.type_bigint()), '3'),
    (dbt.cast('n', dbt.type_float()), '3.0'),
    (dbt.cast('n', dbt.type_numeric()), '3.000000'),
    (dbt.cast("'2024-02-29'", dbt.type_timestamp()), "timestamp '2024-02-29 00:00:00'"),
    (dbt.cast('1', dbt.type_boolean()), 'true'),
    (dbt.cast_bool_to_text('true'), "'true'"),
    (dbt.equals('null', 'null'), 'true'),
    (dbt.equals('n', 'null'), 'false'),
    (dbt.array_construct(['1', '2']), '[1, 2]'),
    ('cardinality(' ~ dbt.array_construct() ~ ')', '0'),
    (dbt.array_append(dbt.array_construct(['1']), '2'), '[1, 2]'),
    (dbt.array_concat(dbt.array_construct(['1']), dbt.array_construct(['3'])), '[1, 3]'),
] -%}
with given as (select 'a,b,c' as s, 3 as n)
{% for found, expected in cases %}
select {{ loop.index }} as number, ({{ found }}) is not distinct from ({{ expected }}) as equal from given
{%- if not loop.last %} union all {%- endif %}
{%- endfor %}
