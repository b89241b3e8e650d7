{#- One column per purpose: true or false by the latest answer, null if there is none. -#}
SELECT
    r.canonical_id,
    {%- for purpose in var('consent_purposes') %}
    first_value(c.status ORDER BY c.changed_at DESC, c.consent_id)
        FILTER (WHERE c.purpose = '{{ purpose }}') = 'granted' AS consent_{{ purpose }}{{ "," if not loop.last }}
    {%- endfor %}
FROM {{ ref('stg_consents') }} AS c
INNER JOIN {{ ref('person__records') }} AS r
    ON r.source = 'consent' AND r.record_id = c.consent_id
GROUP BY r.canonical_id
