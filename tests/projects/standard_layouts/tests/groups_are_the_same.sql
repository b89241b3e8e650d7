WITH one AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('segment_groups') }}
),

other AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('rudderstack_groups') }}
)

{{ kinfold.rows_that_differ('one', 'other') }}
