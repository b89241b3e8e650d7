{#
-- name: dbt
-- params: as documented by dbt for its cross-database macros
-- invariant: each macro gives one SQL expression that DataFusion binds; the names of the
--            parameters are dbt's, because callers pass them by keyword
#}

{% macro type_string() %}varchar{% endmacro %}
{% macro type_timestamp() %}timestamp{% endmacro %}
{% macro type_float() %}double{% endmacro %}
{% macro type_numeric() %}decimal(28, 6){% endmacro %}
{% macro type_bigint() %}bigint{% endmacro %}
{% macro type_int() %}int{% endmacro %}
{% macro type_boolean() %}boolean{% endmacro %}

{% macro current_timestamp() %}now(){% endmacro %}
{% macro current_timestamp_backcompat() %}now(){% endmacro %}
{% macro current_timestamp_in_utc_backcompat() %}now(){% endmacro %}

{% macro cast(field, type) %}cast({{ field }} as {{ type }}){% endmacro %}
{% macro safe_cast(field, type) %}try_cast({{ field }} as {{ type }}){% endmacro %}
{% macro cast_bool_to_text(bool_expression) %}cast({{ bool_expression }} as varchar){% endmacro %}

{% macro concat(fields) %}{{ fields | join(' || ') }}{% endmacro %}
{% macro hash(field) %}md5(cast({{ field }} as varchar)){% endmacro %}
{% macro length(expression) %}length({{ expression }}){% endmacro %}
{% macro replace(field, old_chars, new_chars) %}replace({{ field }}, {{ old_chars }}, {{ new_chars }}){% endmacro %}
{% macro position(substring_text, string_text) %}strpos({{ string_text }}, {{ substring_text }}){% endmacro %}
{% macro right(string_text, length_expression) %}right({{ string_text }}, {{ length_expression }}){% endmacro %}
{% macro split_part(string_text, delimiter_text, part_number) %}split_part({{ string_text }}, {{ delimiter_text }}, {{ part_number }}){% endmacro %}
{% macro escape_single_quotes(expression) %}{{ expression | replace("'", "''") }}{% endmacro %}
{% macro string_literal(value) %}'{{ value }}'{% endmacro %}

{% macro any_value(expression) %}any_value({{ expression }}){% endmacro %}
{% macro bool_or(expression) %}bool_or({{ expression }}){% endmacro %}
{% macro listagg(measure, delimiter_text="','", order_by_clause=none, limit_num=none) -%}
{%- set order = ' ' ~ order_by_clause if order_by_clause else '' -%}
{%- if limit_num -%}
array_to_string(array_slice(array_agg(cast({{ measure }} as varchar){{ order }}) filter (where {{ measure }} is not null), 1, {{ limit_num }}), {{ delimiter_text }})
{%- else -%}
string_agg({{ measure }}, {{ delimiter_text }}{{ order }})
{%- endif -%}
{%- endmacro %}

{% macro equals(expr1, expr2) %}({{ expr1 }} is not distinct from {{ expr2 }}){% endmacro %}
{% macro except() %}except{% endmacro %}
{% macro intersect() %}intersect{% endmacro %}

{% macro array_construct(inputs=[], data_type='bigint') -%}
{% if inputs %}[{{ inputs | join(', ') }}]{% else %}cast([] as {{ data_type }}[]){% endif %}
{%- endmacro %}
{% macro array_append(array, new_element) %}array_append({{ array }}, {{ new_element }}){% endmacro %}
{% macro array_concat(array_1, array_2) %}array_concat({{ array_1 }}, {{ array_2 }}){% endmacro %}

{% macro date(year, month, day) %}make_date({{ year }}, {{ month }}, {{ day }}){% endmacro %}
{% macro date_trunc(datepart, date) %}date_trunc('{{ datepart }}', cast({{ date }} as timestamp)){% endmacro %}
{% macro last_day(date, datepart) -%}
cast({{ dbt.dateadd(datepart, 1, dbt.date_trunc(datepart, date)) }} - interval '1 day' as date)
{%- endmacro %}

{#- The interval is a number, or an expression over columns. DataFusion has no quarter in intervals. -#}
{% macro dateadd(datepart, interval, from_date_or_timestamp) -%}
{%- set quarter = datepart | lower == 'quarter' -%}
{%- set unit = 'month' if quarter else datepart -%}
{%- set units = interval | string | trim -%}
{%- if units.lstrip('-').isdigit() -%}
(cast({{ from_date_or_timestamp }} as timestamp) + interval '{{ units | int * (3 if quarter else 1) }} {{ unit }}')
{%- else -%}
(cast({{ from_date_or_timestamp }} as timestamp) + cast(cast(cast(({{ units }}) as bigint) * {{ 3 if quarter else 1 }} as varchar) || ' {{ unit }}' as interval))
{%- endif -%}
{%- endmacro %}

{#- The numbers from 1 to the bound. -#}
{% macro generate_series(upper_bound) %}select value as generated_number from generate_series(1, {{ upper_bound }}){% endmacro %}

{#- The first moment of each part of a date from the start, without the end. -#}
{% macro date_spine(datepart, start_date, end_date) -%}
{%- set step = '3 month' if datepart | lower == 'quarter' else '1 ' ~ datepart -%}
select value as date_{{ datepart }}
from generate_series(cast({{ start_date }} as timestamp), cast({{ end_date }} as timestamp), interval '{{ step }}')
where value < cast({{ end_date }} as timestamp)
{%- endmacro %}

{#- Boundaries of the part between the two moments, as in dbt: a month is counted where it begins, and
    a week on its Sunday, as dbt does on PostgreSQL, DuckDB, BigQuery and Redshift. -#}
{% macro datediff(first_date, second_date, datepart) -%}
{%- set first = "cast(" ~ first_date ~ " as timestamp)" -%}
{%- set second = "cast(" ~ second_date ~ " as timestamp)" -%}
{%- set part = datepart | lower -%}
{%- set seconds = {'second': 1, 'minute': 60, 'hour': 3600, 'day': 86400} -%}
{%- set months = {'month': 1, 'quarter': 3} -%}
{%- if part == 'year' -%}
cast(date_part('year', {{ second }}) - date_part('year', {{ first }}) as bigint)
{%- elif part in months -%}
cast((date_part('year', {{ second }}) - date_part('year', {{ first }})) * {{ 12 // months[part] }} + date_part('{{ part }}', {{ second }}) - date_part('{{ part }}', {{ first }}) as bigint)
{%- elif part == 'week' -%}
cast((date_part('epoch', date_trunc('week', {{ second }} + interval '1 day')) - date_part('epoch', date_trunc('week', {{ first }} + interval '1 day'))) / 604800 as bigint)
{%- elif part in seconds -%}
cast((date_part('epoch', date_trunc('{{ part }}', {{ second }})) - date_part('epoch', date_trunc('{{ part }}', {{ first }}))) / {{ seconds[part] }} as bigint)
{%- else -%}
{{ exceptions.raise_compiler_error("`datediff` does not know the part of a date `" ~ datepart ~ "`") }}
{%- endif -%}
{%- endmacro %}

{% macro set_sql_header(config) %}{% do config.set('sql_header', caller()) %}{% endmacro %}

{% macro default__generate_schema_name(custom_schema_name, node) -%}
{%- if custom_schema_name is none -%}{{ target.schema }}{%- else -%}{{ target.schema }}_{{ custom_schema_name | trim }}{%- endif -%}
{%- endmacro %}
{% macro default__generate_alias_name(custom_alias_name=none, node=none) -%}
{%- if custom_alias_name -%}{{ custom_alias_name | trim }}{%- else -%}{{ node.name }}{%- endif -%}
{%- endmacro %}
