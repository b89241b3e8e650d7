SELECT person_id
FROM {{ ref('sond') }}
