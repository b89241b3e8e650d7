WITH one AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('segment_events') }}
),

other AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('rudderstack_events') }}
)

{{ kinfold.rows_that_differ('one', 'other') }}
