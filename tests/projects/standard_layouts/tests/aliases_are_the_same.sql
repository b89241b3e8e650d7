WITH one AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('segment_aliases') }}
),

other AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('rudderstack_aliases') }}
)

{{ kinfold.rows_that_differ('one', 'other') }}
