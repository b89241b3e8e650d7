WITH found AS (
    SELECT
        canonical_id,
        most_recent,
        most_recent_source,
        array_to_string(three, ' ') AS three,
        three_source
    FROM {{ ref('golden_rows') }}
),

expected AS (
    SELECT * FROM (VALUES
        ('p1', 'Rome', 'web', 'Rome Bo Oslo', 'web'),
        ('p2', 'Lima', 'crm', 'Lima Oslo', 'crm'),
        ('p4', 'Rome', 'web', 'Rome Ulm', 'web'),
        ('p5', '10', 'web', '10 9 x', 'web')
    ) AS t (canonical_id, most_recent, most_recent_source, three, three_source)
)

{{ kinfold.rows_that_differ('expected', 'found') }}
