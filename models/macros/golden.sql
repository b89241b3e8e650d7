{#- Golden attributes: of all that sources say about somebody, what to believe.

    A claim is one statement of one record about one attribute: canonical_id, attribute, value (text), cleared,
    source, record_id, observed_at. A value that is null says nothing, unless `cleared` is true: then the source
    says that there is none any more. That withdraws what the source said until then (with `clears='all'`, what
    anybody said), and nothing that is said later. A claim without a time is older than every other, and a clear
    without a time withdraws nothing. -#}

{#- Claims that stand, in the order in which an attribute's rules believe them: those of the first rule, and
    where it makes no difference, of the next. What is still equal is decided by the source's place, the later
    time, and the smaller value. Rules: `source_priority`, `most_recent`, `first`, `most_frequent`, `longest`,
    `shortest`, `max`, `min`, `max_number`, `min_number`. -#}
{% macro survivorship_order(rules) -%}
{%- set orders = {
    'source_priority': 'source_rank',
    'most_recent': 'observed_at DESC NULLS LAST',
    'first': 'observed_at ASC NULLS LAST',
    'most_frequent': 'times DESC',
    'longest': 'character_length(value) DESC',
    'shortest': 'character_length(value)',
    'max': 'value DESC',
    'min': 'value',
    'max_number': 'TRY_CAST(value AS DOUBLE) DESC NULLS LAST',
    'min_number': 'TRY_CAST(value AS DOUBLE) ASC NULLS LAST',
} -%}
{%- for rule in rules -%}
    {%- if rule not in orders -%}
        {{ exceptions.raise_compiler_error("`" ~ rule ~ "` is no rule of survivorship") }}
    {%- endif -%}
{{ orders[rule] }},{{ ' ' }}
{%- endfor -%}
source_rank, observed_at DESC NULLS LAST, value, source, record_id
{%- endmacro %}

{#- A query with the values that survive: canonical_id, attribute, position (1 is the best), value, source,
    record_id and observed_at of the claim, rules, claims (how many stand). `attributes` names for each attribute
    its `rules`, its `sources` from the most trusted on, and `top`, how many values to keep (1). -#}
{% macro golden_values(claims, attributes, clears='source') -%}
WITH known AS (
    SELECT
        canonical_id,
        attribute,
        value,
        source,
        record_id,
        observed_at,
        max(CASE WHEN cleared THEN observed_at END) OVER (
            PARTITION BY canonical_id, attribute{{ ', source' if clears == 'source' }}
        ) AS cleared_at
    FROM {{ claims }}
),

standing AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY canonical_id, attribute) AS claims,
        count(*) OVER (PARTITION BY canonical_id, attribute, value) AS times
    FROM known
    WHERE value IS NOT NULL AND (cleared_at IS NULL OR observed_at > cleared_at)
)
{%- for attribute, choice in attributes.items() %}
{%- set sources = choice.get('sources', none) or [] %},

ranked_{{ loop.index }} AS (
    SELECT
        *,
        {% if sources -%}
        CASE source
            {%- for source in sources %}
            WHEN '{{ source | replace("'", "''") }}' THEN {{ loop.index }}
            {%- endfor %}
            ELSE {{ sources | length + 1 }}
        END
        {%- else -%}
        1
        {%- endif %} AS source_rank
    FROM standing
    WHERE attribute = '{{ attribute }}'
),

best_{{ loop.index }} AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY canonical_id ORDER BY {{ survivorship_order(choice.rules) }}) AS place
    FROM ranked_{{ loop.index }}
    QUALIFY row_number() OVER (PARTITION BY canonical_id, value ORDER BY {{ survivorship_order(choice.rules) }}) = 1
),

kept_{{ loop.index }} AS (
    SELECT
        canonical_id,
        attribute,
        row_number() OVER (PARTITION BY canonical_id ORDER BY place) AS position,
        value,
        source,
        record_id,
        observed_at,
        '{{ choice.rules | join(', ') }}' AS rules,
        claims
    FROM best_{{ loop.index }}
    QUALIFY row_number() OVER (PARTITION BY canonical_id ORDER BY place) <= {{ choice.get('top', 1) }}
)
{%- endfor %}
{% for attribute in attributes %}
SELECT * FROM kept_{{ loop.index }}
{{- "\nUNION ALL" if not loop.last }}
{%- endfor %}
{%- endmacro %}

{#- Columns of a row per person over what `golden_values` gave, to be grouped by canonical_id: the value of each
    attribute, with `top` a list, and with `provenance` its source and time. -#}
{% macro golden_columns(attributes, provenance=false) -%}
{%- for attribute, choice in attributes.items() -%}
{%- if choice.get('top', 1) > 1 -%}
array_agg(value ORDER BY position) FILTER (WHERE attribute = '{{ attribute }}') AS {{ attribute }}
{%- else -%}
max(value) FILTER (WHERE attribute = '{{ attribute }}') AS {{ attribute }}
{%- endif -%}
{%- if provenance -%}
,
    max(source) FILTER (WHERE attribute = '{{ attribute }}' AND position = 1) AS {{ attribute }}_source,
    max(observed_at) FILTER (WHERE attribute = '{{ attribute }}' AND position = 1) AS {{ attribute }}_observed_at
{%- endif -%}
{{ ",\n    " if not loop.last }}
{%- endfor -%}
{%- endmacro %}
