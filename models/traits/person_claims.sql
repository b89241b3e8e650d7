{#- What every call of identify says about every attribute, and what events say about addresses: the claims of
    which `person_provenance` believes the best. Where `empty_text_clears`, empty text withdraws what the source
    said before; null in a warehouse only means that the call did not speak of it. -#}
{{ config(materialized='table', enabled=has_events()) }}
WITH spoken AS (
    SELECT
        r.canonical_id,
        unnest([
            {%- for trait in identify_traits() %}
            {
                'attribute': '{{ trait }}',
                'written': i.trait_{{ trait }},
                'value': {% if trait in ['email', 'phone'] %}i.{{ trait }}{% elif trait in ['first_name', 'last_name', 'name'] %}{{ clean_name('i.trait_' ~ trait) }}{% else %}{{ clean_text('i.trait_' ~ trait) }}{% endif %}
            }{{ "," if not loop.last }}
            {%- endfor %}
        ]) AS claim,
        i.source_name AS source,
        i.message_id AS record_id,
        i.occurred_at AS observed_at
    FROM {{ ref('stg_identifies') }} AS i
    INNER JOIN {{ ref('person__records') }} AS r
        ON r.source = 'identifies' AND r.record_id = i.message_id
)

SELECT
    canonical_id,
    claim['attribute'] AS attribute,
    claim['value'] AS value,
    {{ "claim['written'] = ''" if var('empty_text_clears') else 'FALSE' }} AS cleared,
    source,
    record_id,
    observed_at
FROM spoken
WHERE claim['written'] IS NOT NULL
UNION ALL
SELECT
    canonical_id,
    'email' AS attribute,
    email AS value,
    FALSE AS cleared,
    source_name AS source,
    message_id AS record_id,
    occurred_at AS observed_at
FROM {{ ref('person_events') }}
WHERE email IS NOT NULL
{%- for model in var('claims_models') %}
UNION ALL
SELECT canonical_id, attribute, value, cleared, source, record_id, observed_at
FROM {{ ref(model) }}
{%- endfor %}
