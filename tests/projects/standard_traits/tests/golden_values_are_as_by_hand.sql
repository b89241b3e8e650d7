WITH found AS (
    SELECT canonical_id, attribute, position, value, source, record_id
    FROM {{ ref('golden') }}
)

{{ kinfold.rows_that_differ(ref('expected_golden'), 'found') }}
