-- p2 and t2 came twice: the first delivery counts, of t2 the one in the other layout. t5 is from the future.
WITH found AS (
    SELECT message_id, layout, occurred_at, deliveries, page_path
    FROM {{ ref('stg_events') }}
    WHERE deliveries > 1 OR message_id = 't5'
),

expected AS (
    SELECT * FROM (VALUES
        ('p2', 'segment', {{ kinfold.utc("'2026-05-10T10:20:00Z'") }}, 2, '/shoes'),
        ('t2', 'segment', {{ kinfold.utc("'2026-06-24T00:10:00Z'") }}, 2, '/shoes'),
        ('t5', 'segment', {{ kinfold.utc("'2026-06-15T08:00:00Z'") }}, 1, NULL)
    ) AS t (message_id, layout, occurred_at, deliveries, page_path)
)

{{ kinfold.rows_that_differ('expected', 'found') }}
