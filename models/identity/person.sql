{#- Every identifier that a call carries. Calls that share one are of the same person. -#}
{{ config(materialized='identity', entity='person', enabled=has_events()) }}

{%- set records = [
    ('events', 'stg_events', [('anonymous_id', 'anonymous_id'), ('user_id', 'user_id'), ('email', 'email')]),
    ('identifies', 'stg_identifies', [('anonymous_id', 'anonymous_id'), ('user_id', 'user_id'), ('email', 'email'), ('phone', 'phone')]),
    ('groups', 'stg_groups', [('anonymous_id', 'anonymous_id'), ('user_id', 'user_id')]),
    ('aliases', 'stg_aliases', [('anonymous_id', 'previous_id'), ('user_id', 'previous_id'), ('user_id', 'user_id')]),
    ('orders', 'stg_orders', [('anonymous_id', 'anonymous_id'), ('user_id', 'user_id'), ('email', 'email')]),
] %}

WITH carried AS (
    {%- for source, model, identifiers in records %}
    SELECT
        '{{ source }}' AS source,
        message_id AS record_id,
        occurred_at AS observed_at,
        unnest([
            {%- for id_type, column in identifiers %}
            {'id_type': '{{ id_type }}', 'id_value': {{ column }}}{{ "," if not loop.last }}
            {%- endfor %}
        ]) AS identifier
    FROM {{ ref(model) }}
    {{- "\n    UNION ALL" if not loop.last }}
    {%- endfor %}
)

SELECT
    source,
    record_id,
    identifier['id_type'] AS id_type,
    identifier['id_value'] AS id_value,
    observed_at
FROM carried
WHERE identifier['id_value'] IS NOT NULL
{%- for model in var('identity_models') %}
UNION ALL
SELECT source, record_id, id_type, id_value, observed_at
FROM {{ ref(model) }}
{%- endfor %}
