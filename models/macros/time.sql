{#- A point in time, whatever it was: text in ISO 8601, a date, a timestamp with or without a zone. -#}
{% macro utc(expression) -%}
arrow_cast({{ expression }}, 'Timestamp(Microsecond, Some("UTC"))')
{%- endmacro %}

{#- The clock: the variable `as_of` if it is set, else that of the run. A model that reads the run's
    clock has another result in every run. -#}
{% macro as_of() -%}
{%- set fixed = var('as_of', none) -%}
{%- if fixed is none -%}
{{ utc("now()") }}
{%- else -%}
{{ utc("'" ~ fixed ~ "'") }}
{%- endif -%}
{%- endmacro %}

{#- Whole days from one time to a later one, by the calendar in UTC. -#}
{% macro days_between(earlier, later) -%}
(CAST({{ later }} AS DATE) - CAST({{ earlier }} AS DATE))
{%- endmacro %}

{#- Months since the year 0, to count from one month to another. -#}
{% macro month_number(expression) -%}
(12 * date_part('year', {{ expression }}) + date_part('month', {{ expression }}))
{%- endmacro %}

{#- A point in time by the clock of the variable `time_zone`; for its date, hour and day of the week. -#}
{% macro local(expression) -%}
arrow_cast({{ utc(expression) }}, 'Timestamp(Microsecond, Some("{{ var('time_zone', 'UTC') }}"))')
{%- endmacro %}

{% macro local_date(expression) -%}
CAST({{ local(expression) }} AS DATE)
{%- endmacro %}
