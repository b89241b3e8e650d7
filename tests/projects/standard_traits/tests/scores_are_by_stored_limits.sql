WITH found AS (
    SELECT canonical_id, recency_days, frequency, monetary, recency_score, frequency_score, monetary_score, rfm_class
    FROM {{ ref('rfm') }}
)

{{ kinfold.rows_that_differ(ref('expected_scores'), 'found') }}
