WITH one AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('segment_identifies') }}
),

other AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('rudderstack_identifies') }}
)

{{ kinfold.rows_that_differ('one', 'other') }}
