WITH expected AS (
    SELECT person, active_days, values_count, values_all, values_two, values_refunded
    FROM {{ ref('expected_traits') }}
)

{{ kinfold.rows_that_differ('expected', ref('sets')) }}
