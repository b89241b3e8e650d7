-- Of the five who had bought before 2026; what F bought afterwards moves nobody.
WITH found AS (
    SELECT measure, upper_end_1, upper_end_2, upper_end_3, upper_end_4, people
    FROM {{ ref('rfm_quantiles') }}
),

expected AS (
    SELECT * FROM (VALUES
        ('recency', 1.00, 1.00, 31.00, 61.00, 5),
        ('frequency', 1.00, 1.00, 1.00, 2.00, 5),
        ('monetary', 10.00, 15.00, 40.00, 50.00, 5)
    ) AS t (measure, upper_end_1, upper_end_2, upper_end_3, upper_end_4, people)
)

{{ kinfold.rows_that_differ('expected', 'found') }}
