SELECT person_id, email, born_on FROM {{ ref('people') }}
