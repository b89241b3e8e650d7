WITH found AS (
    SELECT * REPLACE (
        array_to_string(values_all, ' ') AS values_all,
        array_to_string(values_two, ' ') AS values_two,
        array_to_string(values_refunded, ' ') AS values_refunded,
        array_to_string(usual_two, ' ') AS usual_two
    )
    FROM {{ ref('made') }}
)

{{ kinfold.rows_that_differ(ref('expected_traits'), 'found') }}
