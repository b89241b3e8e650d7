WITH known AS (
    SELECT 'person' AS entity, id_type, id_value, canonical_id FROM {{ ref('person') }}
    UNION ALL
    SELECT 'account' AS entity, id_type, id_value, canonical_id FROM {{ ref('account') }}
),

found AS (
    SELECT
        k.entity,
        w.id_value AS who,
        k.id_type,
        k.id_value
    FROM known AS k
    LEFT JOIN known AS w
        ON w.canonical_id = k.canonical_id AND w.entity = k.entity
        AND w.id_value IN ('a1', 'b2', 'a2', 'a3', 'acme')
)

{{ kinfold.rows_that_differ(ref('expected_identifiers'), 'found') }}
