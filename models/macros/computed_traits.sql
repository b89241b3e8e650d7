{#- Traits: what is known of somebody from rows about them. Each macro but the last is an aggregate of the rows
    of a group; `traits` makes a whole query of a list of them.

    All of them see what happened before the clock `as_of()`, and with `days`, within so many times 24 hours
    before it: at the start of the window or later, and before its end. A row without a time is not seen. A null
    is no value. Rows are in a total order, by `at`, then `id`, then the value. -#}

{#- The rows that a trait sees. -#}
{% macro seen(where=none, days=none, at='occurred_at', value=none) -%}
{{ at }} < {{ as_of() }}
{%- if days is not none %} AND {{ at }} >= {{ as_of() }} - INTERVAL '{{ days }} days'{% endif %}
{%- if where is not none %} AND ({{ where }}){% endif %}
{%- if value is not none %} AND ({{ value }}) IS NOT NULL{% endif %}
{%- endmacro %}

{#- How many rows. -#}
{% macro trait_count(where=none, days=none, at='occurred_at') -%}
count(*) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{#- Whether there is a row. -#}
{% macro trait_exists(where=none, days=none, at='occurred_at') -%}
(count(*) FILTER (WHERE {{ seen(where, days, at) }}) > 0)
{%- endmacro %}

{#- How many rows more than in the window before. -#}
{% macro trait_change(days, where=none, at='occurred_at') -%}
(2 * count(*) FILTER (WHERE {{ seen(where, days, at) }}) - count(*) FILTER (WHERE {{ seen(where, 2 * days, at) }}))
{%- endmacro %}

{#- The share of the rows that meet the condition `part`; null without rows. -#}
{% macro trait_ratio(part, where=none, days=none, at='occurred_at') -%}
(
    CAST(count(*) FILTER (WHERE {{ seen(where, days, at) }} AND ({{ part }})) AS DOUBLE)
    / nullif(count(*) FILTER (WHERE {{ seen(where, days, at) }}), 0)
)
{%- endmacro %}

{#- Sum, mean, least and greatest value; null without one. Sums of decimals do not depend on their order. -#}
{% macro trait_sum(value, where=none, days=none, at='occurred_at') -%}
sum({{ value }}) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{% macro trait_avg(value, where=none, days=none, at='occurred_at') -%}
avg({{ value }}) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{% macro trait_min(value, where=none, days=none, at='occurred_at') -%}
min({{ value }}) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{% macro trait_max(value, where=none, days=none, at='occurred_at') -%}
max({{ value }}) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{#- The value of the first row that has one, and of the last one. -#}
{% macro trait_first(value, where=none, days=none, at='occurred_at', id='message_id') -%}
first_value({{ value }} ORDER BY {{ at }}, {{ id }}, {{ value }}) FILTER (WHERE {{ seen(where, days, at, value) }})
{%- endmacro %}

{% macro trait_last(value, where=none, days=none, at='occurred_at', id='message_id') -%}
first_value({{ value }} ORDER BY {{ at }} DESC, {{ id }} DESC, {{ value }} DESC) FILTER (WHERE {{ seen(where, days, at, value) }})
{%- endmacro %}

{#- When the first row was, and the last one; whole days since then, by the calendar of `time_zone`. -#}
{% macro trait_first_at(where=none, days=none, at='occurred_at') -%}
min({{ at }}) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{% macro trait_last_at(where=none, days=none, at='occurred_at') -%}
max({{ at }}) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{% macro trait_days_since_first(where=none, days=none, at='occurred_at') -%}
({{ local_date(as_of()) }} - {{ local_date(trait_first_at(where, days, at)) }})
{%- endmacro %}

{% macro trait_days_since_last(where=none, days=none, at='occurred_at') -%}
({{ local_date(as_of()) }} - {{ local_date(trait_last_at(where, days, at)) }})
{%- endmacro %}

{#- On how many days, by the calendar of `time_zone`. -#}
{% macro trait_active_days(where=none, days=none, at='occurred_at') -%}
count(DISTINCT {{ local_date(at) }}) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{#- How many different values. -#}
{% macro trait_unique_count(value, where=none, days=none, at='occurred_at') -%}
count(DISTINCT {{ value }}) FILTER (WHERE {{ seen(where, days, at) }})
{%- endmacro %}

{#- The different values in their order, the first `limit` of them; null if there is none. -#}
{% macro trait_unique_list(value, where=none, days=none, at='occurred_at', limit=none) -%}
{%- set list = 'array_agg(DISTINCT ' ~ value ~ ' ORDER BY ' ~ value ~ ') FILTER (WHERE ' ~ seen(where, days, at, value) ~ ')' -%}
{{ list if limit is none else 'array_slice(' ~ list ~ ', 1, ' ~ limit ~ ')' }}
{%- endmacro %}

{#- A query with a row for each `key` that has a row before the clock, and a column per trait. A trait is a
    dictionary: `name`, `kind` (the macros above without `trait_`, and `most_frequent`, `least_frequent`, `top`),
    and the arguments of its macro. For the three kinds of frequency, `at_least` (1) is how often a value must be
    there, and of values that are there equally often the smallest comes first; `top` is the list of the first
    `limit` (3).

    Kinds that look at different values group the rows by them first, once for all traits of one value: sets of
    values within an aggregate would be kept in memory, one for each key. -#}
{% macro traits(relation, definitions, key='canonical_id', at='occurred_at', id='message_id') -%}
{%- set kinds_by_value = ['most_frequent', 'least_frequent', 'top', 'unique_count', 'unique_list', 'active_days'] -%}
{%- set by_value = {} -%}
{%- for trait in definitions if trait.kind in kinds_by_value -%}
    {%- set value = local_date(at) if trait.kind == 'active_days' else trait.value -%}
    {%- if value not in by_value -%}
        {%- do by_value.update({value: []}) -%}
    {%- endif -%}
    {%- do by_value[value].append(trait) -%}
{%- endfor -%}
WITH observed AS (
    SELECT *
    FROM {{ relation }}
    WHERE {{ key }} IS NOT NULL AND {{ at }} < {{ as_of() }}
),

totals AS (
    SELECT
        {{ key }}
        {%- for trait in definitions if trait.kind not in kinds_by_value %},
        {{ trait_of(trait, at, id) }} AS {{ trait.name }}
        {%- endfor %}
    FROM observed
    GROUP BY {{ key }}
)
{%- for value, group in by_value.items() %},

counted_{{ loop.index }} AS (
    SELECT
        {{ key }},
        {{ value }} AS value
        {%- for trait in group %},
        {{ trait_count(trait.get('where', none), trait.get('days', none), at) }} AS {{ trait.name }}_times
        {%- endfor %}
    FROM observed
    WHERE ({{ value }}) IS NOT NULL
    GROUP BY {{ key }}, {{ value }}
),

ranked_{{ loop.index }} AS (
    SELECT
        *
        {%- for trait in group if trait.kind in ['top', 'unique_list'] %},
        row_number() OVER (
            PARTITION BY {{ key }}
            ORDER BY {{ trait.name }}_times >= {{ trait.get('at_least', 1) }} DESC, {{ trait.name ~ '_times DESC, ' if trait.kind == 'top' }}value
        ) AS {{ trait.name }}_position
        {%- endfor %}
    FROM counted_{{ loop.index }}
),

chosen_{{ loop.index }} AS (
    SELECT
        {{ key }}
        {%- for trait in group %},
        {{ trait_of_values(trait) }} AS {{ trait.name }}
        {%- endfor %}
    FROM ranked_{{ loop.index }}
    GROUP BY {{ key }}
)
{%- endfor %}

SELECT
    totals.{{ key }}
    {%- for trait in definitions %},
    {{ 'coalesce(' ~ trait.name ~ ', 0) AS ' ~ trait.name if trait.kind in ['unique_count', 'active_days'] else trait.name }}
    {%- endfor %}
FROM totals
{%- for value in by_value %}
LEFT JOIN chosen_{{ loop.index }} ON chosen_{{ loop.index }}.{{ key }} = totals.{{ key }}
{%- endfor %}
{%- endmacro %}

{#- The aggregate of one definition over the values of a key, how often each is there, and its place in a list. -#}
{% macro trait_of_values(trait) -%}
{%- set there = trait.name ~ '_times >= ' ~ trait.get('at_least', 1) -%}
{%- if trait.kind in ['unique_count', 'active_days'] -%}
count(*) FILTER (WHERE {{ there }})
{%- elif trait.kind in ['most_frequent', 'least_frequent'] -%}
first_value(value ORDER BY {{ trait.name }}_times {{ 'DESC' if trait.kind == 'most_frequent' else 'ASC' }}, value) FILTER (WHERE {{ there }})
{%- else -%}
{%- set limit = trait.get('limit', 3 if trait.kind == 'top' else none) -%}
array_agg(value ORDER BY {{ trait.name }}_position)
            FILTER (WHERE {{ there }}{{ ' AND ' ~ trait.name ~ '_position <= ' ~ limit if limit is not none }})
{%- endif -%}
{%- endmacro %}

{#- The aggregate of one definition. -#}
{% macro trait_of(trait, at, id) -%}
{%- set where = trait.get('where', none) -%}
{%- set days = trait.get('days', none) -%}
{%- if trait.kind == 'count' -%}{{ trait_count(where, days, at) }}
{%- elif trait.kind == 'exists' -%}{{ trait_exists(where, days, at) }}
{%- elif trait.kind == 'change' -%}{{ trait_change(days, where, at) }}
{%- elif trait.kind == 'ratio' -%}{{ trait_ratio(trait.part, where, days, at) }}
{%- elif trait.kind == 'sum' -%}{{ trait_sum(trait.value, where, days, at) }}
{%- elif trait.kind == 'avg' -%}{{ trait_avg(trait.value, where, days, at) }}
{%- elif trait.kind == 'min' -%}{{ trait_min(trait.value, where, days, at) }}
{%- elif trait.kind == 'max' -%}{{ trait_max(trait.value, where, days, at) }}
{%- elif trait.kind == 'first' -%}{{ trait_first(trait.value, where, days, at, id) }}
{%- elif trait.kind == 'last' -%}{{ trait_last(trait.value, where, days, at, id) }}
{%- elif trait.kind == 'first_at' -%}{{ trait_first_at(where, days, at) }}
{%- elif trait.kind == 'last_at' -%}{{ trait_last_at(where, days, at) }}
{%- elif trait.kind == 'days_since_first' -%}{{ trait_days_since_first(where, days, at) }}
{%- elif trait.kind == 'days_since_last' -%}{{ trait_days_since_last(where, days, at) }}
{%- else -%}{{ exceptions.raise_compiler_error("`" ~ trait.kind ~ "` of the trait `" ~ trait.name ~ "` is no kind of trait") }}
{%- endif -%}
{%- endmacro %}
