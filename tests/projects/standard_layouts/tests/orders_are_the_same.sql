WITH one AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('segment_orders') }}
),

other AS (
    SELECT * EXCLUDE (layout, source_name) FROM {{ ref('rudderstack_orders') }}
)

{{ kinfold.rows_that_differ('one', 'other') }}
