SELECT person_id FROM {{ ref('people') }}
