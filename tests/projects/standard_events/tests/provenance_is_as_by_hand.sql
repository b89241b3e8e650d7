WITH found AS (
    SELECT attribute, value, source, record_id, observed_at, claims
    FROM {{ ref('person_provenance') }}
)

{{ kinfold.rows_that_differ(ref('expected_provenance'), 'found') }}
